"""Cases of bad and unusual input; `corpus` lists them all."""
