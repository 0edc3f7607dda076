/* The guest's main loop: one step of the workload for each time the VMM lets it go on. */
#include "../workload.h"

void pf_guest_halt(struct pf_demo_input *input);
void pf_guest_main(uint64_t ram_bytes);

void pf_guest_main(uint64_t ram_bytes)
{
    const struct pf_demo demo = {(uint8_t *)0, ram_bytes, 0, 0, 0};
    struct pf_demo_input input;

    for (;;) {
        pf_guest_halt(&input);
        pf_demo_step(&demo, &input);
    }
}
