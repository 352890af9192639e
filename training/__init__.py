"""How the shipped models are made: drawings, their captions, the training, the judging."""
