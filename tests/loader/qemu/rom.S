/* The stub ROM's vectors. The CPU comes out of reset with PS.EXCM set, where every fault would be a double one. */
    .section .vectors, "ax"
    .org 0x10
    j       debug
    .org 0x30
    j       trapped
    .org 0x50
    j       trapped
    .org 0x70
    j       trapped
    .org 0x80
    j       reset

    .section .text.traps, "ax"
    .literal_position
    .align 4
reset:
    movi    a0, 0x20
    wsr     a0, ps
    rsync
    movi    a1, 0x66020000
    call0   rom_main

/* The loader is entered with noise in its registers, as job.registers has it: a0 and a1 are the ROM's. */
    .align 4
    .global enter_loader
enter_loader:                           /* a2: entry, a3: registers */
    mov     a0, a2
    wsr     a0, excsave1
    l32i    a1, a3, 4
    l32i    a2, a3, 8
    l32i    a4, a3, 16
    l32i    a5, a3, 20
    l32i    a6, a3, 24
    l32i    a7, a3, 28
    l32i    a8, a3, 32
    l32i    a9, a3, 36
    l32i    a10, a3, 40
    l32i    a11, a3, 44
    l32i    a12, a3, 48
    l32i    a13, a3, 52
    l32i    a14, a3, 56
    l32i    a15, a3, 60
    l32i    a3, a3, 12
    rsr     a0, excsave1
    callx0  a0
    .align 4
    .global came_back
came_back:
    movi    a1, 0x66020000
    movi    a2, 3
    movi    a3, 0
    call0   finish

/* Both leave exception mode before anything else can go wrong, on a stack of their own. */
    .align 4
debug:
    mov     a3, a1
    rsr     a4, epc2
    movi    a2, 1
    j       report
    .align 4
trapped:
    mov     a3, a1
    rsr     a4, epc1
    movi    a2, 2
report:
    rsr     a5, exccause
    rsr     a6, excvaddr
    movi    a7, 0x20
    wsr     a7, ps
    rsync
    movi    a1, 0x66020000
    mov     a7, a3
    mov     a3, a4
    mov     a4, a5
    mov     a5, a6
    mov     a6, a7
    call0   finish_at
