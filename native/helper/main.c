/*
 * What: the C entry of the mirror image. The start stub (start.S) calls pf_helper_main on every
 * vCPU's own stack; it never returns.
 * Who: vCPU 0 runs first and alone until its first HLT and creates the device at the start of the
 * arena; the others attach to it there.
 *
 * Compile:  -std=c11 -O2 -ffreestanding -mcmodel=kernel -fno-pic -fno-pie
 *           -fno-delete-null-pointer-checks -fno-stack-protector -fno-asynchronous-unwind-tables
 *           -fcf-protection=none -Wall -Wextra -Werror [-DPF_TEST_COMMANDS]
 * Link:     ld -nostdlib -static -T image.ld start.o *.o libIPSec_MB.a liblz4.a libbearssl.a
 *           libzstd.a, all static archives of Debian; --gc-sections for their unused parts.
 */
#include "device.h"
#include "state.h"

#ifndef PF_HOSTED

/* The stub's one HLT; returns after the next KVM_RUN. */
extern void pf_halt(void);

void pf_helper_main(const struct pf_boot *boot, uint32_t vcpu);

static struct pf_device *attach(const struct pf_boot *boot)
{
    struct pf_device *device = (struct pf_device *)boot->arena_virtual;

    return __atomic_load_n(&device->magic, __ATOMIC_ACQUIRE) == PF_DEVICE_MAGIC ? device : NULL;
}

void pf_helper_main(const struct pf_boot *boot, uint32_t vcpu)
{
    struct pf_device *device = vcpu == 0 ? pf_device_create(boot) : attach(boot);

    /* The host has broken the ABI; an undefined instruction reaches it through the fault page. */
    if (device == NULL)
        __builtin_trap();
    for (;;) {
        pf_device_run(device, vcpu);
        pf_halt();
    }
}

#endif
