"""The networks: layers, the generator and the discriminator."""
