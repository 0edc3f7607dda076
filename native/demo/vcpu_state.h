/*
 * What: the state of the kvm backend's vCPU as bytes, for the device state of a migration.
 * Who: only while the vCPU does not run. The bytes come from a peer: length, version and
 * the MSRs' numbers are checked here, the rest by KVM, whose VM contains the guest.
 */
#ifndef PAGEFERRY_DEMO_VCPU_STATE_H
#define PAGEFERRY_DEMO_VCPU_STATE_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kvm/vcpu.h"

namespace pageferry::demo
{

std::vector<uint8_t> save_vcpu(const kvm::System &system, const kvm::Vcpu &vcpu, bool halted);
// Returns `halted`. Throws InvalidError or SystemError, and then leaves the vCPU as it was.
bool load_vcpu(const kvm::System &system, kvm::Vcpu &vcpu, const uint8_t *data, size_t bytes);

} // namespace pageferry::demo

#endif
