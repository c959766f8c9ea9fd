"""`python -m ddpmcodec.cli`"""

from . import main

main()
