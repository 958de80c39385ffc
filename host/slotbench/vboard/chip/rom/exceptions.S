/* What the table of exception handlers holds. All are entered as vectors.S says, and return by _xtos_return_from_exc. */
#include "frame.h"

/* Save a5 to a11 and what the interrupt or exception replaced: all that a C function may change. */
.macro save_for_c
    s32i    a0, a1, FRAME_A0
    s32i    a5, a1, FRAME_A(5)
    s32i    a6, a1, FRAME_A(6)
    s32i    a7, a1, FRAME_A(7)
    s32i    a8, a1, FRAME_A(8)
    s32i    a9, a1, FRAME_A(9)
    s32i    a10, a1, FRAME_A(10)
    s32i    a11, a1, FRAME_A(11)
    rsr     a3, epc1
    rsr     a4, ps
    rsr     a5, sar
    s32i    a3, a1, FRAME_PC
    s32i    a4, a1, FRAME_PS
    s32i    a5, a1, FRAME_SAR
.endm

/* Level 1 interrupts: the C function calls the handlers of all that are pending, one at a time. */
    .section .text._xtos_l1int_handler, "ax"
    .align  4
    .global _xtos_l1int_handler
_xtos_l1int_handler:
    save_for_c
    movi    a3, PS_USER + 1
    wsr     a3, ps
    rsync
    call0   dispatch_interrupts
    j       return_from_frame

/* Other exceptions with a C function: handler(frame, cause), which may change any register in the frame. */
    .section .text._xtos_c_wrapper_handler, "ax"
    .literal_position
    .align  4
    .global _xtos_c_wrapper_handler
    .global _xtos_cause3_handler
_xtos_cause3_handler:
_xtos_c_wrapper_handler:
    s32i    a2, a1, FRAME_CAUSE
    s32i    a12, a1, FRAME_A(12)
    s32i    a13, a1, FRAME_A(13)
    s32i    a14, a1, FRAME_A(14)
    s32i    a15, a1, FRAME_A(15)
    save_for_c
    movi    a3, ~PS_EXCM
    and     a4, a4, a3
    movi    a3, PS_USER
    or      a4, a4, a3
    wsr     a4, ps
    rsync
    mov     a3, a2
    movi    a4, C_HANDLER_TABLE
    addx4   a4, a2, a4
    l32i    a4, a4, 0
    mov     a2, a1
    callx0  a4
    l32i    a12, a1, FRAME_A(12)
    l32i    a13, a1, FRAME_A(13)
    l32i    a14, a1, FRAME_A(14)
    l32i    a15, a1, FRAME_A(15)
    j       return_from_frame

    .section .text._xtos_return_from_exc, "ax"
    .literal_position
    .align  4
    .global _xtos_return_from_exc
    .global return_from_frame
_xtos_return_from_exc:
return_from_frame:
    rsil    a2, 15
    l32i    a5, a1, FRAME_PS
    movi    a6, PS_EXCM
    or      a5, a5, a6
    wsr     a5, ps
    rsync
    l32i    a3, a1, FRAME_PC
    l32i    a4, a1, FRAME_SAR
    wsr     a3, epc1
    wsr     a4, sar
    l32i    a0, a1, FRAME_A0
    l32i    a2, a1, FRAME_A(2)
    l32i    a3, a1, FRAME_A(3)
    l32i    a4, a1, FRAME_A(4)
    l32i    a5, a1, FRAME_A(5)
    l32i    a6, a1, FRAME_A(6)
    l32i    a7, a1, FRAME_A(7)
    l32i    a8, a1, FRAME_A(8)
    l32i    a9, a1, FRAME_A(9)
    l32i    a10, a1, FRAME_A(10)
    l32i    a11, a1, FRAME_A(11)
    addmi   a1, a1, FRAME_BYTES
    rfe

/* syscall: no call is known. The instruction (3 bytes) is skipped, -1 is its result. */
    .section .text._xtos_syscall_handler, "ax"
    .align  4
    .global _xtos_syscall_handler
_xtos_syscall_handler:
    rsr     a3, epc1
    addi    a3, a3, 3
    wsr     a3, epc1
    l32i    a3, a1, FRAME_A3
    l32i    a4, a1, FRAME_A4
    movi    a2, -1
    addmi   a1, a1, FRAME_BYTES
    rfe

/* The address of the break instruction is public: programs that report crashes look for it. */
    .section .at._xtos_unhandled_exception, "ax"
    .global _xtos_unhandled_exception
_xtos_unhandled_exception:
    or      a2, a2, a2
    nop.n
    nop.n
    break   1, 1
    j       .

    .section .at._xtos_unhandled_interrupt, "ax"
    .global _xtos_unhandled_interrupt
_xtos_unhandled_interrupt:
    break   1, 15
    j       .

    .section .at._xtos_p_none, "ax"
    .global _xtos_p_none
_xtos_p_none:
    ret

/* A division by zero ends at this illegal instruction, whose address (0x4000DCE5) is public. */
    .section .at.4000dce4, "ax"
    .global divide_by_zero
    .byte   0
divide_by_zero:
    .byte   0, 0, 0

/* esptool tells the chip by this word. */
    .section .at.40001000, "ax"
    .word   0xfff0c101

/* Entries without a function call this; their name follows. */
    .section .text.trap_call, "ax"
    .align  4
    .global trap_call
trap_call:
    addi    a2, a0, 3
    srli    a2, a2, 2
    slli    a2, a2, 2
    j       rom_trap
