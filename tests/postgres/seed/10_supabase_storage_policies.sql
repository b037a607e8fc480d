-- Storage bucket policies for audio-files bucket
-- These policies control who can access files in Supabase Storage

-- Policy: Users can upload to their own folder
CREATE POLICY "Users can upload own audio files" ON storage.objects
FOR INSERT WITH CHECK (
    bucket_id = 'audio-files' AND
    (storage.foldername(name))[1] = auth.uid()::text
);

-- Policy: Users can view/download their own files
CREATE POLICY "Users can view own audio files" ON storage.objects
FOR SELECT USING (
    bucket_id = 'audio-files' AND
    (storage.foldername(name))[1] = auth.uid()::text
);

-- Policy: Users can update their own files
CREATE POLICY "Users can update own audio files" ON storage.objects
FOR UPDATE USING (
    bucket_id = 'audio-files' AND
    (storage.foldername(name))[1] = auth.uid()::text
);

-- Policy: Users can delete their own files
CREATE POLICY "Users can delete own audio files" ON storage.objects
FOR DELETE USING (
    bucket_id = 'audio-files' AND
    (storage.foldername(name))[1] = auth.uid()::text
);

-- Note: Service key bypasses all RLS policies
-- The backend uses service key for operations
