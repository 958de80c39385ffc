/* The ROM calls here: cache off, a1 its stack, a0 the way back into it. The image that slotboot chose is entered in the same
 * way, as if the ROM had loaded it; slotboot() never returns without one. */
    .section .entry, "ax"
    .global start
    .align 4
start:
    mov     a12, a0
    /* board = 0x3FFFEC00, without a literal */
    movi    a15, 1
    slli    a15, a15, 30
    addmi   a15, a15, -0x1400
    call0   slotboot
    mov     a0, a12
    jx      a2
