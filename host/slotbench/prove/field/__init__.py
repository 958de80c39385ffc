"""What happened to boards in the field, as whole stories on virtual boards: `slotbench prove field`."""
