"""`ddpmcodec view`: a local page with a slider over the bytes of .ddpm files.

jobs: work in threads, of which the latest request alone is answered; viewed_file: what the page shows of a file;
comparisons: other codecs at the same bytes; server: the page's addresses, for which `pip install 'ddpmcodec[view]'`.
"""
