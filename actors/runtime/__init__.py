"""What all actors share: the base class, the clock, references, and the limit on restarts."""
