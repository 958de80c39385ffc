/* Vectors at 0x40000000, where VECBASE points at reset. Firmware has vectors of its own from its start on. */
#include "frame.h"

/* The ROM begins here; there are no register windows, whose vectors these would be. */
    .section .at.40000000, "ax"
    .space  16

/* No debugger is there: stop where the watchdog ends it. */
    .section .at._DebugExceptionVector, "ax"
    .global _DebugExceptionVector
_DebugExceptionVector:
    waiti   2
    j       .

    .section .at._NMIExceptionVector, "ax"
    .global _NMIExceptionVector
_NMIExceptionVector:
    rfi     3

/* PS.UM is set from the ROM's start on: an exception out of kernel mode has no handler. */
    .section .at._KernelExceptionVector, "ax"
    .global _KernelExceptionVector
_KernelExceptionVector:
    break   1, 0
    j       .

/* Handlers of the table are entered with the cause in a2, with a2 to a4 in the frame and a0 as it was. */
    .section .at._UserExceptionVector, "ax"
    .global _UserExceptionVector
_UserExceptionVector:
    addmi   a1, a1, -FRAME_BYTES
    s32i    a2, a1, FRAME_A2
    s32i    a3, a1, FRAME_A3
    j       user_exception

    .section .at._DoubleExceptionVector, "ax"
    .global _DoubleExceptionVector
_DoubleExceptionVector:
    break   1, 4
    j       .

    .section .text.user_exception, "ax"
    .literal_position
    .align  4
    .global user_exception
user_exception:
    s32i    a4, a1, FRAME_A4
    rsr     a2, exccause
    movi    a3, EXCEPTION_TABLE
    addx4   a3, a2, a3
    l32i    a3, a3, 0
    jx      a3

    .section .at._ResetVector, "ax"
    .global _ResetVector
_ResetVector:
    j       _ResetHandler

    .section .text._ResetHandler, "ax"
    .literal_position
    .align  4
    .global _ResetHandler
_ResetHandler:
    movi    a2, 0x40000000
    wsr     a2, vecbase
    movi    a3, 0
    wsr     a3, intenable
    movi    a4, PS_USER + 15
    wsr     a4, ps
    rsync
    movi    a4, -1
    wsr     a4, intclear
    mov     a1, a2
    j       _start

/* Initialised data: {first address, end, where it lies in the ROM} up to a zero. Then everything behind is zeroed. */
    .section .text._start, "ax"
    .literal_position
    .align  4
    .global _start
_start:
    movi    a2, _rom_store_table
next_block:
    l32i    a3, a2, 0
    beqz    a3, copied
    l32i    a4, a2, 4
    l32i    a5, a2, 8
copy:
    bgeu    a3, a4, block_done
    l32i    a6, a5, 0
    s32i    a6, a3, 0
    addi    a5, a5, 4
    addi    a3, a3, 4
    j       copy
block_done:
    addi    a2, a2, 12
    j       next_block
copied:
    movi    a3, _bss_start
    movi    a4, _bss_end
    movi    a5, 0
zero:
    s32i    a5, a3, 0
    addi    a3, a3, 4
    bltu    a3, a4, zero
    call0   main
    j       .
