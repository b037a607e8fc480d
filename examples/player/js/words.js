// Times, sizes and refusals, in words.

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

/** "3:07" or "1:02:07" for seconds; a dash for what is not known. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–:––";
  const whole = Math.floor(seconds + 0.001);
  const pad = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** "3 minutes 7 seconds", for a screen reader. */
export function spoken(seconds) {
  const whole = Math.round(seconds || 0);
  const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
  const said = parts.filter(([count]) => count).map(([count, unit]) => many(count, unit));
  return said.join(" ") || "0 seconds";
}

/** "195.1 KB" for bytes. */
export function size(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < UNITS.length - 1; unit++) bytes /= 1024;
  return `${unit ? bytes.toFixed(1) : bytes} ${UNITS[unit]}`;
}

/** "1 section", "2 sections". */
export function many(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** What to tell a person about an error, whatever kind it is. */
export function told(error) {
  if (error instanceof MediaError) {
    return error.code === MediaError.MEDIA_ERR_NETWORK
      ? "The recording could not be loaded. Is the network there?"
      : "This recording can’t be played here.";
  }
  const { needed, used, quota, kind } = error.facts ?? {};
  if (kind === "files" || ![needed, used, quota].every(Number.isFinite)) return error.message;
  return `${error.message} This one needs ${size(needed)}, and ${size(Math.max(0, quota - used))} are left.`;
}
