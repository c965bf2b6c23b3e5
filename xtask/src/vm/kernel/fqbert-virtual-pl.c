// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Programmable logic for a virtual board, seen from the kernel. QEMU has no PMU firmware, so the
 * ZynqMP FPGA manager cannot probe, and two interfaces of the vendor's kernel that user space
 * relies on do not exist in mainline. This driver stands in for them, in the virtual board only:
 *
 *   - an FPGA manager that checks a stream as the device would (the sync word in the byte order of
 *     the PCAP) and writes it nowhere. It starts as "operating": a boot loader configured the
 *     logic.
 *   - /sys/class/fpga_manager/fpgaN/{firmware,flags}: load by firmware name.
 *   - /sys/kernel/config/device-tree/overlays/NAME/{dtbo,status}: a device-tree overlay, applied
 *     when its blob has been written and taken off by rmdir.
 */
#include <linux/configfs.h>
#include <linux/device.h>
#include <linux/firmware.h>
#include <linux/fpga/fpga-mgr.h>
#include <linux/init.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>

/* ---- FPGA manager ---- */

struct virtual_pl {
	enum fpga_mgr_states state;
	unsigned long flags;
	size_t bytes;
};

/* UG570: bus width detection and sync word come early; 0xaa995566, least significant byte first. */
static bool has_sync_word(const char *buf, size_t count)
{
	static const u8 sync[] = { 0x66, 0x55, 0x99, 0xaa };
	size_t at;

	for (at = 0; at + sizeof(sync) <= min_t(size_t, count, SZ_4K); at += sizeof(sync))
		if (!memcmp(buf + at, sync, sizeof(sync)))
			return true;
	return false;
}

static int virtual_pl_init(struct fpga_manager *mgr, struct fpga_image_info *info, const char *buf,
			   size_t count)
{
	struct virtual_pl *pl = mgr->priv;

	pl->bytes = 0;
	pl->state = FPGA_MGR_STATE_WRITE_INIT_ERR;
	if (has_sync_word(buf, count))
		return 0;
	dev_err(&mgr->dev, "no sync word 66 55 99 aa in the first 4096 bytes\n");
	return -EINVAL;
}

static int virtual_pl_write(struct fpga_manager *mgr, const char *buf, size_t count)
{
	struct virtual_pl *pl = mgr->priv;

	pl->bytes += count;
	return 0;
}

static int virtual_pl_complete(struct fpga_manager *mgr, struct fpga_image_info *info)
{
	struct virtual_pl *pl = mgr->priv;

	dev_info(&mgr->dev, "%zu bytes loaded\n", pl->bytes);
	pl->state = FPGA_MGR_STATE_OPERATING;
	return 0;
}

static enum fpga_mgr_states virtual_pl_state(struct fpga_manager *mgr)
{
	struct virtual_pl *pl = mgr->priv;

	return pl->state;
}

static ssize_t firmware_store(struct device *dev, struct device_attribute *attr, const char *buf,
			      size_t count)
{
	struct fpga_manager *mgr = to_fpga_manager(dev);
	struct virtual_pl *pl = mgr->priv;
	struct fpga_image_info *info;
	char name[NAME_MAX + 1];
	int ret;

	if (strscpy(name, buf, sizeof(name)) < 0)
		return -ENAMETOOLONG;
	info = fpga_image_info_alloc(dev);
	if (!info)
		return -ENOMEM;
	info->flags = pl->flags;
	info->firmware_name = devm_kstrdup(dev, strim(name), GFP_KERNEL);
	ret = info->firmware_name ? fpga_mgr_lock(mgr) : -ENOMEM;
	if (!ret) {
		ret = fpga_mgr_load(mgr, info);
		fpga_mgr_unlock(mgr);
	}
	fpga_image_info_free(info);
	return ret ? ret : count;
}
static DEVICE_ATTR_WO(firmware);

static ssize_t flags_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct virtual_pl *pl = to_fpga_manager(dev)->priv;

	return sysfs_emit(buf, "%lx\n", pl->flags);
}

static ssize_t flags_store(struct device *dev, struct device_attribute *attr, const char *buf,
			   size_t count)
{
	struct virtual_pl *pl = to_fpga_manager(dev)->priv;
	int ret = kstrtoul(buf, 16, &pl->flags);

	return ret ? ret : count;
}
static DEVICE_ATTR_RW(flags);

static struct attribute *virtual_pl_attrs[] = {
	&dev_attr_firmware.attr, &dev_attr_flags.attr, NULL
};
ATTRIBUTE_GROUPS(virtual_pl);

static const struct fpga_manager_ops virtual_pl_ops = {
	.initial_header_size = SZ_4K,
	.write_init = virtual_pl_init,
	.write = virtual_pl_write,
	.write_complete = virtual_pl_complete,
	.state = virtual_pl_state,
	.groups = virtual_pl_groups,
};

static int virtual_pl_probe(struct platform_device *pdev)
{
	struct fpga_manager *mgr;
	struct virtual_pl *pl;

	pl = devm_kzalloc(&pdev->dev, sizeof(*pl), GFP_KERNEL);
	if (!pl)
		return -ENOMEM;
	pl->state = FPGA_MGR_STATE_OPERATING;
	mgr = devm_fpga_mgr_register(&pdev->dev, "Virtual FPGA Manager", &virtual_pl_ops, pl);
	return PTR_ERR_OR_ZERO(mgr);
}

static const struct of_device_id virtual_pl_of_match[] = {
	{ .compatible = "fqbert,virtual-pl" },
	{}
};
MODULE_DEVICE_TABLE(of, virtual_pl_of_match);

static struct platform_driver virtual_pl_driver = {
	.probe = virtual_pl_probe,
	.driver = {
		.name = "fqbert-virtual-pl",
		.of_match_table = virtual_pl_of_match,
		.suppress_bind_attrs = true,
	},
};
builtin_platform_driver(virtual_pl_driver);

/* ---- overlays through configfs ---- */

struct overlay {
	struct config_item item;
	struct mutex lock;
	bool applied;
	int changeset;
};

static struct overlay *to_overlay(struct config_item *item)
{
	return container_of(item, struct overlay, item);
}

static ssize_t overlay_status_show(struct config_item *item, char *page)
{
	return sprintf(page, "%s\n", to_overlay(item)->applied ? "applied" : "unapplied");
}
CONFIGFS_ATTR_RO(overlay_, status);

/* Called with the whole blob when the file is closed; what comes of it is in `status`. */
static ssize_t overlay_dtbo_write(struct config_item *item, const void *buf, size_t count)
{
	struct overlay *overlay = to_overlay(item);
	int ret = -EBUSY;

	mutex_lock(&overlay->lock);
	if (!overlay->applied) {
		ret = of_overlay_fdt_apply(buf, count, &overlay->changeset, NULL);
		/* A failed apply may leave a changeset behind, which has to be taken off as well. */
		if (ret && overlay->changeset > 0)
			of_overlay_remove(&overlay->changeset);
		overlay->applied = !ret;
	}
	mutex_unlock(&overlay->lock);
	return ret ? ret : count;
}
CONFIGFS_BIN_ATTR_WO(overlay_, dtbo, NULL, SZ_1M);

static struct configfs_attribute *overlay_attrs[] = { &overlay_attr_status, NULL };
static struct configfs_bin_attribute *overlay_bin_attrs[] = { &overlay_attr_dtbo, NULL };

static void overlay_release(struct config_item *item)
{
	struct overlay *overlay = to_overlay(item);

	if (overlay->applied)
		of_overlay_remove(&overlay->changeset);
	kfree(overlay);
}

static struct configfs_item_operations overlay_item_ops = { .release = overlay_release };

static const struct config_item_type overlay_type = {
	.ct_item_ops = &overlay_item_ops,
	.ct_attrs = overlay_attrs,
	.ct_bin_attrs = overlay_bin_attrs,
	.ct_owner = THIS_MODULE,
};

static struct config_item *overlays_make(struct config_group *group, const char *name)
{
	struct overlay *overlay = kzalloc(sizeof(*overlay), GFP_KERNEL);

	if (!overlay)
		return ERR_PTR(-ENOMEM);
	mutex_init(&overlay->lock);
	config_item_init_type_name(&overlay->item, name, &overlay_type);
	return &overlay->item;
}

static struct configfs_group_operations overlays_group_ops = { .make_item = overlays_make };

static const struct config_item_type overlays_type = {
	.ct_group_ops = &overlays_group_ops,
	.ct_owner = THIS_MODULE,
};

static const struct config_item_type device_tree_type = { .ct_owner = THIS_MODULE };

static struct config_group overlays_group;

static struct configfs_subsystem device_tree = {
	.su_group.cg_item = {
		.ci_namebuf = "device-tree",
		.ci_type = &device_tree_type,
	},
};

static int __init overlays_init(void)
{
	mutex_init(&device_tree.su_mutex);
	config_group_init(&device_tree.su_group);
	config_group_init_type_name(&overlays_group, "overlays", &overlays_type);
	configfs_add_default_group(&overlays_group, &device_tree.su_group);
	return configfs_register_subsystem(&device_tree);
}
late_initcall(overlays_init);

MODULE_DESCRIPTION("Programmable logic of a virtual board");
MODULE_LICENSE("Dual MIT/GPL");
