/*
 * What: PF_COMMAND_TEST_FAULT: faults on demand, in the test image only, so that tests see each
 * of them surface at the host as a typed error.
 */
#if defined(PF_TEST_COMMANDS) && !defined(PF_HOSTED)

#include "commands.h"

static void endless(void)
{
    for (;;)
        pf_pause();
}

uint32_t pf_command_test_fault(struct pf_call *call)
{
    const uint64_t address = call->request.arg[1];
    uint8_t bytes[32] = {0};
    uint64_t value;

    switch (call->request.arg[0]) {
    case PF_FAULT_MISALIGNED_VECTOR:
        __asm__ volatile("andq $-16, %0; movaps 1(%0), %%xmm0"
                         : "=r"(value)
                         : "0"(bytes)
                         : "xmm0", "memory");
        break;
    case PF_FAULT_UNDEFINED:
        __asm__ volatile("ud2");
        break;
    case PF_FAULT_DIVIDE:
        __asm__ volatile("divl %%ecx" : : "a"(1), "d"(0), "c"(0) : "cc");
        break;
    case PF_FAULT_BREAKPOINT:
        __asm__ volatile("int3");
        break;
    case PF_FAULT_READ:
        __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
        break;
    case PF_FAULT_WRITE:
        __asm__ volatile("movq %0, (%0)" : : "r"(address) : "memory");
        break;
    case PF_FAULT_VECTOR_READ:
        __asm__ volatile("vmovdqu (%0), %%ymm0" : : "r"(address) : "xmm0", "memory");
        break;
    case PF_FAULT_PORT:
        __asm__ volatile("outb %%al, $0x80" : : "a"(0));
        break;
    case PF_FAULT_OTHER_HALT:
        __asm__ volatile("hlt");
        break;
    case PF_FAULT_ENDLESS:
        endless();
        break;
    case PF_FAULT_EXECUTE:
        __asm__ volatile("call *%0" : : "r"(address) : "memory");
        break;
    default:
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    }
    return PF_STATUS_OK; /* an access that was allowed */
}

#else
/* A translation unit needs a declaration (ISO C11, 6.9). */
typedef int pf_no_test_faults;
#endif
