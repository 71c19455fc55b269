/* SPDX-License-Identifier: MIT */
/*
 * core/attributes.h - life of a VM's attribute list; private to core/
 */
#ifndef GMEM_CORE_ATTRIBUTES_H
#define GMEM_CORE_ATTRIBUTES_H

#include "core/vm.h"

int core_attrs_init(struct core_vm *vm);
void core_attrs_fini(struct core_vm *vm);

#endif
