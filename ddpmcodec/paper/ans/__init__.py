"""rANS and the integer distributions on it, for bits back; exact pixels of files are coded in `_core`.

A `Stack` is a message of craystack's with one lane (docs/craystack_codecs.py has it between craystack's own codecs);
normal and logistic distributions are on it. Probabilities are integers, so that both ends agree on every machine.
"""
