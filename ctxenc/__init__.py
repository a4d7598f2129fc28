"""Train, sweep and compare Context Encoders (Pathak et al., 2016)."""
