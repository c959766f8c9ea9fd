export async function readPicture(source) { return source; }
