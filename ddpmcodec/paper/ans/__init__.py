"""rANS and the integer distributions on it, for bits back.

The core computes them (`_core/stack.h`, `logistic_slots.h`, `normal.h`). Exact pixels of files have a coder of their
own (`_core/rans.h`).

A `Stack` is a message of craystack's with one lane (docs/craystack_codecs.py has it between craystack's own codecs);
normal and logistic distributions are on it. Probabilities are integers, so that both ends agree on every machine.
"""
