"""What models of one kind share: those that play a generator against a critic, decode draws, draw pixel by pixel, count
pixels, have Gaussian codes."""
