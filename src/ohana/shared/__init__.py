"""What all pixels share: changes of the light, offsets, settling and row noise are no events."""
