"""The types of variables that BTF does not have.

pahole describes the variables of each CPU only, unless it is asked for all (``--btf_features=
global_var``). These are the variables that drgn's helpers and people who debug kernels ask for, as
their declarations in the kernel have them. A variable is used only if this kernel's BTF has its
type: a type that was renamed makes the variable unknown, and nothing else.
"""

from __future__ import annotations

__all__ = ["POINTERS", "WELL_KNOWN"]

#: Name to C type. Arrays whose length depends on the configuration have none.
WELL_KNOWN = {
    # tasks, processes and namespaces
    "init_task": "struct task_struct",  # include/linux/sched/task.h
    "init_mm": "struct mm_struct",  # include/linux/mm_types.h
    "init_nsproxy": "struct nsproxy",  # include/linux/nsproxy.h
    "init_pid_ns": "struct pid_namespace",  # include/linux/pid_namespace.h
    "init_user_ns": "struct user_namespace",  # include/linux/user_namespace.h
    "init_uts_ns": "struct uts_namespace",  # include/linux/utsname.h
    "init_ipc_ns": "struct ipc_namespace",  # include/linux/ipc_namespace.h
    "init_cgroup_ns": "struct cgroup_namespace",  # include/linux/cgroup_namespace.h
    "init_cred": "struct cred",  # include/linux/init_task.h
    "init_fs": "struct fs_struct",  # include/linux/init_task.h
    "userspace_init_fs": "struct fs_struct *",  # include/linux/init_task.h
    "root_task_group": "struct task_group",  # kernel/sched/sched.h
    "cgrp_dfl_root": "struct cgroup_root",  # include/linux/cgroup.h
    "uidhash_table": "struct hlist_head []",  # kernel/user.c
    "nr_threads": "int",  # kernel/fork.c
    "total_forks": "unsigned long",  # kernel/fork.c
    "avenrun": "unsigned long [3]",  # include/linux/sched/loadavg.h
    "task_struct_cachep": "struct kmem_cache *",  # kernel/fork.c
    "thread_stack_cache": "struct kmem_cache *",  # kernel/fork.c
    "task_state_array": "const char *const []",  # fs/proc/array.c
    # processors
    "__per_cpu_offset": "unsigned long []",  # include/asm-generic/percpu.h
    "__cpu_online_mask": "struct cpumask",  # include/linux/cpumask.h
    "__cpu_possible_mask": "struct cpumask",  # include/linux/cpumask.h
    "__cpu_present_mask": "struct cpumask",  # include/linux/cpumask.h
    "__cpu_active_mask": "struct cpumask",  # include/linux/cpumask.h
    "nr_cpu_ids": "unsigned int",  # include/linux/cpumask.h
    "node_states": "nodemask_t []",  # include/linux/nodemask.h
    "nr_node_ids": "unsigned int",  # include/linux/nodemask.h
    # the kernel itself
    "linux_banner": "const char []",  # include/linux/printk.h
    "saved_command_line": "char *",  # include/linux/init.h
    "boot_command_line": "char []",  # include/linux/init.h
    "system_state": "enum system_states",  # include/linux/kernel.h
    "tainted_mask": "unsigned long",  # kernel/panic.c
    "panic_cpu": "atomic_t",  # include/linux/panic.h
    "oops_in_progress": "int",  # include/linux/printk.h
    "prb": "struct printk_ringbuffer *",  # kernel/printk/printk.c
    "modules": "struct list_head",  # kernel/module/main.c
    "mod_tree": "struct mod_tree_root",  # kernel/module/main.c
    "module_kset": "struct kset *",  # include/linux/module.h
    "jiffies": "volatile unsigned long",  # include/linux/jiffies.h
    "jiffies_64": "u64",  # include/linux/jiffies.h
    "tk_core": "struct tk_data",  # kernel/time/timekeeping.c, 6.13 to 6.16
    "timekeeper_data": "struct tk_data []",  # kernel/time/timekeeping.c, since 6.17
    # interrupts
    "irq_desc_tree": "struct xarray",  # kernel/irq/irqdesc.c, before 6.5: a radix_tree_root
    "sparse_irqs": "struct maple_tree",  # kernel/irq/irqdesc.c
    "nr_irqs": "int",  # include/linux/irqnr.h, before 6.13
    "total_nr_irqs": "unsigned int",  # kernel/irq/irqdesc.c
    # memory
    "_totalram_pages": "atomic_long_t",  # include/linux/mm.h
    "mem_section": "struct mem_section **",  # include/linux/mmzone.h (SPARSEMEM_EXTREME)
    "__highest_present_section_nr": "unsigned long",  # include/linux/mmzone.h
    "memblock": "struct memblock",  # include/linux/memblock.h
    "max_mapnr": "unsigned long",  # include/linux/mm.h
    "min_low_pfn": "unsigned long",  # include/linux/memblock.h
    "max_pfn": "unsigned long",  # include/linux/memblock.h
    "node_data": "struct pglist_data *[]",  # include/asm-generic/numa.h
    "contig_page_data": "struct pglist_data",  # include/linux/mmzone.h
    "slab_caches": "struct list_head",  # mm/slab.h
    "slab_kset": "struct kset *",  # mm/slub.c
    "vm_node_stat": "atomic_long_t []",  # include/linux/vmstat.h
    "vm_zone_stat": "atomic_long_t []",  # include/linux/vmstat.h
    "vm_numa_event": "atomic_long_t []",  # include/linux/vmstat.h
    "vm_committed_as": "struct percpu_counter",  # include/linux/mman.h
    "sysctl_overcommit_kbytes": "unsigned long",  # include/linux/mman.h
    "sysctl_overcommit_ratio": "int",  # include/linux/mman.h
    "vmap_area_list": "struct list_head",  # include/linux/vmalloc.h, before 6.9
    "vmap_area_root": "struct rb_root",  # mm/vmalloc.c, before 6.9
    "vmap_nodes": "struct vmap_node *",  # mm/vmalloc.c
    "nr_vmap_nodes": "unsigned int",  # mm/vmalloc.c
    "vmap_zone_size": "unsigned int",  # mm/vmalloc.c
    "swap_info": "struct swap_info_struct *[]",  # mm/swapfile.c
    "nr_swapfiles": "unsigned int",  # mm/swapfile.c
    "nr_swap_pages": "atomic_long_t",  # include/linux/swap.h
    "total_swap_pages": "long",  # include/linux/swap.h
    "hstates": "struct hstate []",  # include/linux/hugetlb.h
    "hugetlb_max_hstate": "int",  # include/linux/hugetlb.h
    # files, devices and networks
    "super_blocks": "struct list_head",  # fs/super.c
    "file_systems": "struct file_system_type *",  # fs/filesystems.c
    "blockdev_superblock": "struct super_block *",  # include/linux/blkdev.h
    "block_class": "struct class",  # include/linux/blkdev.h
    "chrdevs": "struct char_device_struct *[255]",  # fs/char_dev.c
    "major_names": "struct blk_major_name *[255]",  # block/genhd.c
    "cdev_map": "struct kobj_map *",  # fs/char_dev.c
    "sysfs_root_kn": "struct kernfs_node *",  # fs/sysfs/sysfs.h
    "bus_kset": "struct kset *",  # drivers/base/bus.c
    "class_kset": "struct kset *",  # drivers/base/class.c
    "pci_bus_type": "struct bus_type",  # include/linux/pci.h
    "pci_root_buses": "struct list_head",  # include/linux/pci.h
    "init_net": "struct net",  # include/net/net_namespace.h
    "net_namespace_list": "struct list_head",  # include/net/net_namespace.h
    "iomem_resource": "struct resource",  # include/linux/ioport.h
    "ioport_resource": "struct resource",  # include/linux/ioport.h
    # BPF
    "prog_idr": "struct idr",  # kernel/bpf/syscall.c
    "map_idr": "struct idr",  # kernel/bpf/syscall.c
    "link_idr": "struct idr",  # kernel/bpf/syscall.c
    "btf_idr": "struct idr",  # kernel/bpf/btf.c
    "btf_modules": "struct list_head",  # kernel/bpf/btf.c
}

#: Arrays of pointers whose length callers ask for: they end before what is no pointer, or with
#: the room that there is for them before the next symbol.
POINTERS = frozenset({"task_state_array"})
