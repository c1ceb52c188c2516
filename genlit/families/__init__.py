"""What models of one kind share: those that decode draws, draw pixel by pixel, count pixels, have Gaussian codes."""
