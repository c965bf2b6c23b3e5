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

set rtl [file join $root fabric rtl]
set sources [concat [glob -nocomplain [file join $rtl *.sv]] [glob -nocomplain [file join $rtl generated *.sv]]]
if {[llength $sources] == 0} {
    puts stderr "no SystemVerilog in $rtl"
    exit 1
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

# Packages first: they are imported in module headers.
set packages [lsearch -all -inline -glob $sources *_pkg.sv]
add_files -norecurse [concat $packages $sources]
set constraints [glob -nocomplain [file join $rtl constraints *.xdc]]
if {[llength $constraints]} { add_files -fileset constrs_1 -norecurse $constraints }
# Each board has a geometry of its own name; the RTL selects it by this macro.
set_property verilog_define [list FQBERT_GEOMETRY=$board] [get_filesets sources_1]

# Processing system, one register master, as many high-performance slaves as there are AXI ports.
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $ps
set_property -dict [list \
    CONFIG.PSU__USE__M_AXI_GP0 1 \
    CONFIG.PSU__USE__M_AXI_GP1 0 \
    CONFIG.PSU__USE__M_AXI_GP2 0 \
    CONFIG.PSU__USE__S_AXI_GP2 1 \
    CONFIG.PSU__USE__IRQ0 1 \
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 214 \
] $ps
set accel [create_bd_cell -type module -reference fqbert_top accel]
apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
    -config [list Master /ps/M_AXI_HPM0_FPD Slave /accel/s_axil Clk_xbar Auto] [get_bd_intf_pins accel/s_axil]
set masters [lsort [get_bd_intf_pins -of_objects $accel -filter {MODE == Master && VLNV =~ "*aximm*"}]]
foreach master $masters {
    apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
        -config [list Master $master Slave /ps/S_AXI_HP0_FPD Clk_xbar Auto] [get_bd_intf_pins ps/S_AXI_HP0_FPD]
}
connect_bd_net [get_bd_pins accel/irq_o] [get_bd_pins ps/pl_ps_irq0]

# The register range is where the device tree says it is.
set segment [get_bd_addr_segs -of_objects [get_bd_addr_spaces ps/Data] -filter {NAME =~ "*accel*"}]
set_property offset [dict get $b regs_base] $segment
set_property range  [dict get $b regs_size] $segment
validate_bd_design
save_bd_design
set wrapper [make_wrapper -files [get_files system.bd] -top]
add_files -norecurse $wrapper
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
