-- Add storage quota tracking to user_credits table
ALTER TABLE public.user_credits 
ADD COLUMN IF NOT EXISTS storage_quota_mb INTEGER DEFAULT 500,
ADD COLUMN IF NOT EXISTS storage_used_mb DECIMAL(10,2) DEFAULT 0;

-- Update existing paid users to have higher quota
UPDATE public.user_credits 
SET storage_quota_mb = 5000 
WHERE total_purchased > 0;

-- Create file uploads tracking table
CREATE TABLE IF NOT EXISTS public.file_uploads (
    id UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id UUID REFERENCES auth.users(id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    file_size_mb DECIMAL(10,2) NOT NULL,
    storage_path TEXT NOT NULL,
    chapter_id INTEGER,
    section_id INTEGER,
    upload_status TEXT DEFAULT 'completed',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT TIMEZONE('utc', NOW()),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT TIMEZONE('utc', NOW())
);

-- Create indexes for performance
CREATE INDEX IF NOT EXISTS idx_file_uploads_user_id ON public.file_uploads(user_id);
CREATE INDEX IF NOT EXISTS idx_file_uploads_project_id ON public.file_uploads(project_id);
CREATE INDEX IF NOT EXISTS idx_file_uploads_storage_path ON public.file_uploads(storage_path);

-- Enable RLS
ALTER TABLE public.file_uploads ENABLE ROW LEVEL SECURITY;

-- RLS Policies for file_uploads
CREATE POLICY "Users can view own file uploads" ON public.file_uploads
    FOR SELECT USING (auth.uid() = user_id);

CREATE POLICY "Users can insert own file uploads" ON public.file_uploads
    FOR INSERT WITH CHECK (auth.uid() = user_id);

CREATE POLICY "Users can update own file uploads" ON public.file_uploads
    FOR UPDATE USING (auth.uid() = user_id);

CREATE POLICY "Users can delete own file uploads" ON public.file_uploads
    FOR DELETE USING (auth.uid() = user_id);

-- Function to update storage usage
CREATE OR REPLACE FUNCTION update_user_storage_usage()
RETURNS TRIGGER AS $$
BEGIN
    -- Update user's storage usage
    UPDATE public.user_credits
    SET storage_used_mb = (
        SELECT COALESCE(SUM(file_size_mb), 0)
        FROM public.file_uploads
        WHERE user_id = NEW.user_id
        AND upload_status = 'completed'
    )
    WHERE user_id = NEW.user_id;
    
    RETURN NEW;
END;
$$ LANGUAGE plpgsql SECURITY DEFINER;

-- Create trigger to auto-update storage usage
DROP TRIGGER IF EXISTS update_storage_usage_trigger ON public.file_uploads;
CREATE TRIGGER update_storage_usage_trigger
AFTER INSERT OR UPDATE OR DELETE ON public.file_uploads
FOR EACH ROW
EXECUTE FUNCTION update_user_storage_usage();
