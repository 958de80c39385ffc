"""The ESP8266's CPU and the memory around it in Python: runs the loader's machine code on the virtual board.

It stays beside the emulated chip (vboard/chip), for three reasons:

* It needs no C compiler. `--loader machine` and `prove powercut --loader machine` run wherever slotbench
  does.
* It is a second opinion. This interpreter and its ROM share no code with the core in C and the ROM of the
  emulated chip. tests/loader runs states, cuts, hostile images and mutations on both; each must equal the
  model.
* It is stricter than the chip. A store into the ROM's data and a literal or a jump outside the loader are
  errors. A ROM function leaves noise in every register that it may change. One call of the ROM is one flash
  operation, as in the model; the ROM of the emulated chip programs 32 bytes at a time.

It costs little: digests are computed in Python, and a boot takes about as long as on the core.
"""
