# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Builds the bitstream of one board from the RTL, in batch mode:
#
#     vivado -mode batch -source bitstreams/build.tcl -tclargs zcu102 [jobs]
#
# NOT RUN HERE: Vivado was not available when this was written, so no line of it has been executed
# and no result of it exists. Written for Vivado 2023.2.

if {$argc < 1} {
    puts stderr "usage: vivado -mode batch -source build.tcl -tclargs BOARD \[JOBS\]"
    exit 2
}
set here  [file dirname [file normalize [info script]]]
set root  [file dirname $here]
set board [lindex $argv 0]
set jobs  [expr {$argc > 1 ? [lindex $argv 1] : 2}]

# Addresses and parts: the table that the device tree is made of as well.
set boards [dict create]
source [file join $root device-tree generated boards.tcl]
if {![dict exists $boards $board]} {
    puts stderr "no board `$board`; there are: [dict keys $boards]"
    exit 2
}
set b [dict get $boards $board]
set boardparts {
    zcu102 xilinx.com:zcu102:part0:*
    zcu111 xilinx.com:zcu111:part0:*
}
if {![dict exists $boardparts $board]} {
    puts stderr "`$board` is no board of silicon"
    exit 2
}

# Number of the board's geometry (fqbert_system_pkg), and the LOAD ports that it has
# (accelerator/contract/geometry.toml).
set geometries {
    zcu102 {preset 2 ports 2}
    zcu111 {preset 3 ports 4}
}
set g [dict get $geometries $board]

# The sources in order, packages first, as fqbert.f lists them; the wrapper in Verilog is what the
# block design refers to.
set rtl [file join $root programmable logic rtl]
set sources {}
set list [open [file join $rtl fqbert.f]]
foreach line [split [read $list] "\n"] {
    set line [string trim $line]
    if {$line ne "" && ![string match "//*" $line]} { lappend sources [file join $rtl $line] }
}
close $list
set wrapper_source [file join $rtl vivado fqbert_axi.v]
foreach source [concat $sources $wrapper_source] {
    if {![file exists $source]} {
        puts stderr "no $source"
        exit 1
    }
}

set work [file join $root target vivado $board]
file mkdir $work
create_project -force fqbert-$board $work -part [dict get $b part]
set found [get_board_parts -quiet [dict get $boardparts $board]]
if {[llength $found] == 0} {
    puts stderr "board files of $board are not installed (Vivado store, or XilinxBoardStore)"
    exit 1
}
set_property board_part [lindex [lsort $found] end] [current_project]

add_files -norecurse [concat $sources $wrapper_source]
set constraints [glob -nocomplain [file join $rtl constraints *.xdc]]
if {[llength $constraints]} { add_files -fileset constrs_1 -norecurse $constraints }
# The DSP48E2 primitive instead of its behavioural twin.
set_property verilog_define [list FQBERT_VENDOR] [get_filesets sources_1]

# Processing system: one register master, HP0 for instructions and results, and an HP port for each
# LOAD port as far as they go (HP1, HP3, HP2: HP1 and HP2 share a port of the DDR controller; a
# fourth shares HP0).
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $ps
set_property -dict [list \
    CONFIG.PSU__USE__M_AXI_GP0 1 \
    CONFIG.PSU__USE__M_AXI_GP1 0 \
    CONFIG.PSU__USE__M_AXI_GP2 0 \
    CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__SAXIGP2__DATA_WIDTH 128 \
    CONFIG.PSU__USE__S_AXI_GP3 1 CONFIG.PSU__SAXIGP3__DATA_WIDTH 128 \
    CONFIG.PSU__USE__S_AXI_GP4 1 CONFIG.PSU__SAXIGP4__DATA_WIDTH 128 \
    CONFIG.PSU__USE__S_AXI_GP5 1 CONFIG.PSU__SAXIGP5__DATA_WIDTH 128 \
    CONFIG.PSU__USE__IRQ0 1 \
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100 \
] $ps

# 214 MHz out of pl_clk0, which is a divided PLL of the processing system and does not give it
# itself; resets in that clock.
set clock [create_bd_cell -type ip -vlnv xilinx.com:ip:clk_wiz clock]
set_property -dict [list CONFIG.PRIM_SOURCE No_buffer CONFIG.CLKOUT1_REQUESTED_OUT_FREQ 214.000 \
    CONFIG.RESET_TYPE ACTIVE_LOW CONFIG.RESET_PORT resetn] $clock
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins clock/clk_in1]
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins clock/resetn] \
    [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins clock/locked] [get_bd_pins reset/dcm_locked]
connect_bd_net [get_bd_pins clock/clk_out1] [get_bd_pins reset/slowest_sync_clk] \
    [get_bd_pins ps/maxihpm0_fpd_aclk] [get_bd_pins ps/saxihp0_fpd_aclk] \
    [get_bd_pins ps/saxihp1_fpd_aclk] [get_bd_pins ps/saxihp2_fpd_aclk] \
    [get_bd_pins ps/saxihp3_fpd_aclk]

set accel [create_bd_cell -type module -reference fqbert_axi accel]
set_property CONFIG.PRESET [dict get $g preset] $accel
connect_bd_net [get_bd_pins clock/clk_out1] [get_bd_pins accel/clk]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins accel/rst_n]
connect_bd_net [get_bd_pins accel/irq] [get_bd_pins ps/pl_ps_irq0]

# A SmartConnect for each connection: it converts AXI4 of the processing system to AXI4-Lite, and
# narrows addresses from 64 bits.
proc connect_through {name masters slave} {
    set switch [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $name]
    set_property -dict [list CONFIG.NUM_SI [llength $masters] CONFIG.NUM_MI 1] $switch
    connect_bd_net [get_bd_pins clock/clk_out1] [get_bd_pins $name/aclk]
    connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins $name/aresetn]
    for {set i 0} {$i < [llength $masters]} {incr i} {
        connect_bd_intf_net [get_bd_intf_pins [lindex $masters $i]] \
            [get_bd_intf_pins $name/[format S%02d_AXI $i]]
    }
    connect_bd_intf_net [get_bd_intf_pins $name/M00_AXI] [get_bd_intf_pins $slave]
}
connect_through registers_switch ps/M_AXI_HPM0_FPD accel/s_axil
set shared accel/m_axi_ctl
for {set p 0} {$p < [dict get $g ports]} {incr p} {
    if {$p < 3} {
        connect_through load${p}_switch accel/m_axi_load$p ps/S_AXI_HP[lindex {1 3 2} $p]_FPD
    } else {
        lappend shared accel/m_axi_load$p
    }
}
connect_through control_switch $shared ps/S_AXI_HP0_FPD

# Registers where the device tree says they are; the masters see the low DDR and nothing else.
assign_bd_address
set segment [get_bd_addr_segs -of_objects [get_bd_addr_spaces ps/Data] -filter {NAME =~ "*accel*"}]
set_property offset [dict get $b regs_base] $segment
set_property range  [dict get $b regs_size] $segment
foreach space [get_bd_addr_spaces accel/*] {
    foreach segment [get_bd_addr_segs -of_objects $space -filter {NAME !~ "*DDR_LOW*"}] {
        exclude_bd_addr_seg $segment
    }
}
validate_bd_design
save_bd_design
set top [make_wrapper -files [get_files system.bd] -top]
add_files -norecurse $top
set_property top system_wrapper [current_fileset]

launch_runs synth_1 -jobs $jobs
wait_on_run synth_1
launch_runs impl_1 -to_step write_bitstream -jobs $jobs
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
    puts stderr "implementation failed: see $work"
    exit 1
}
open_run impl_1
report_timing_summary -file [file join $work timing.rpt]
report_utilization    -file [file join $work utilization.rpt]
set slack [get_property SLACK [get_timing_paths]]
if {$slack < 0} {
    puts stderr "timing is not met (worst slack $slack ns): no bitstream is kept"
    exit 1
}
set result [file join $here fqbert-$board.bit]
file copy -force [file join [get_property DIRECTORY [get_runs impl_1]] system_wrapper.bit] $result
puts "built $result; now set status, size and SHA-256 in fqbert-$board.toml"
