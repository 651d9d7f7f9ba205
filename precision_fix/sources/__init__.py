"""Where sites are looked for: files on the disk, the text in them, and what the rules say of it."""
