"""The context model: a small exact network that predicts a coefficient from what is known around it."""
