// fqbert_top as Vivado's block design takes it: a module in Verilog, since IP Integrator refers to
// no SystemVerilog top, with an AXI4 port for each master by the names that its interface inference
// knows. Ports that a geometry lacks are quiet and may be left open. NOT RUN in Vivado here:
// elaborated by Verilator in the test command, for every geometry.
module fqbert_axi #(
  parameter integer PRESET = 2, // number of the geometry: 0 tiny, 1 paper, 2 zcu102, 3 zcu111
  parameter integer BUILD  = 0
) (
  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 clk CLK" *)
  // One string, as in Vivado's templates.
  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axil:m_axi_ctl:m_axi_load0:m_axi_load1:m_axi_load2:m_axi_load3, ASSOCIATED_RESET rst_n" *)
  input  wire         clk,
  // Synchronous to clk.
  (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 rst_n RST" *)
  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
  input  wire         rst_n,
  (* X_INTERFACE_INFO = "xilinx.com:signal:interrupt:1.0 irq INTERRUPT" *)
  (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)
  output wire         irq,

  // Registers.
  input  wire [11:0]  s_axil_awaddr,
  input  wire         s_axil_awvalid,
  output wire         s_axil_awready,
  input  wire [31:0]  s_axil_wdata,
  input  wire [3:0]   s_axil_wstrb,
  input  wire         s_axil_wvalid,
  output wire         s_axil_wready,
  output wire [1:0]   s_axil_bresp,
  output wire         s_axil_bvalid,
  input  wire         s_axil_bready,
  input  wire [11:0]  s_axil_araddr,
  input  wire         s_axil_arvalid,
  output wire         s_axil_arready,
  output wire [31:0]  s_axil_rdata,
  output wire [1:0]   s_axil_rresp,
  output wire         s_axil_rvalid,
  input  wire         s_axil_rready,

  // Instructions and results.
  output wire [63:0]  m_axi_ctl_araddr,
  output wire [7:0]   m_axi_ctl_arlen,
  output wire [2:0]   m_axi_ctl_arsize,
  output wire [1:0]   m_axi_ctl_arburst,
  output wire [3:0]   m_axi_ctl_arcache,
  output wire [2:0]   m_axi_ctl_arprot,
  output wire         m_axi_ctl_arvalid,
  input  wire         m_axi_ctl_arready,
  input  wire [127:0] m_axi_ctl_rdata,
  input  wire [1:0]   m_axi_ctl_rresp,
  input  wire         m_axi_ctl_rlast,
  input  wire         m_axi_ctl_rvalid,
  output wire         m_axi_ctl_rready,
  output wire [63:0]  m_axi_ctl_awaddr,
  output wire [7:0]   m_axi_ctl_awlen,
  output wire [2:0]   m_axi_ctl_awsize,
  output wire [1:0]   m_axi_ctl_awburst,
  output wire [3:0]   m_axi_ctl_awcache,
  output wire [2:0]   m_axi_ctl_awprot,
  output wire         m_axi_ctl_awvalid,
  input  wire         m_axi_ctl_awready,
  output wire [127:0] m_axi_ctl_wdata,
  output wire [15:0]  m_axi_ctl_wstrb,
  output wire         m_axi_ctl_wlast,
  output wire         m_axi_ctl_wvalid,
  input  wire         m_axi_ctl_wready,
  input  wire [1:0]   m_axi_ctl_bresp,
  input  wire         m_axi_ctl_bvalid,
  output wire         m_axi_ctl_bready,

  // LOAD's read ports.
  output wire [63:0]  m_axi_load0_araddr,
  output wire [7:0]   m_axi_load0_arlen,
  output wire [2:0]   m_axi_load0_arsize,
  output wire [1:0]   m_axi_load0_arburst,
  output wire [3:0]   m_axi_load0_arcache,
  output wire [2:0]   m_axi_load0_arprot,
  output wire         m_axi_load0_arvalid,
  input  wire         m_axi_load0_arready,
  input  wire [127:0] m_axi_load0_rdata,
  input  wire [1:0]   m_axi_load0_rresp,
  input  wire         m_axi_load0_rlast,
  input  wire         m_axi_load0_rvalid,
  output wire         m_axi_load0_rready,
  output wire [63:0]  m_axi_load1_araddr,
  output wire [7:0]   m_axi_load1_arlen,
  output wire [2:0]   m_axi_load1_arsize,
  output wire [1:0]   m_axi_load1_arburst,
  output wire [3:0]   m_axi_load1_arcache,
  output wire [2:0]   m_axi_load1_arprot,
  output wire         m_axi_load1_arvalid,
  input  wire         m_axi_load1_arready,
  input  wire [127:0] m_axi_load1_rdata,
  input  wire [1:0]   m_axi_load1_rresp,
  input  wire         m_axi_load1_rlast,
  input  wire         m_axi_load1_rvalid,
  output wire         m_axi_load1_rready,
  output wire [63:0]  m_axi_load2_araddr,
  output wire [7:0]   m_axi_load2_arlen,
  output wire [2:0]   m_axi_load2_arsize,
  output wire [1:0]   m_axi_load2_arburst,
  output wire [3:0]   m_axi_load2_arcache,
  output wire [2:0]   m_axi_load2_arprot,
  output wire         m_axi_load2_arvalid,
  input  wire         m_axi_load2_arready,
  input  wire [127:0] m_axi_load2_rdata,
  input  wire [1:0]   m_axi_load2_rresp,
  input  wire         m_axi_load2_rlast,
  input  wire         m_axi_load2_rvalid,
  output wire         m_axi_load2_rready,
  output wire [63:0]  m_axi_load3_araddr,
  output wire [7:0]   m_axi_load3_arlen,
  output wire [2:0]   m_axi_load3_arsize,
  output wire [1:0]   m_axi_load3_arburst,
  output wire [3:0]   m_axi_load3_arcache,
  output wire [2:0]   m_axi_load3_arprot,
  output wire         m_axi_load3_arvalid,
  input  wire         m_axi_load3_arready,
  input  wire [127:0] m_axi_load3_rdata,
  input  wire [1:0]   m_axi_load3_rresp,
  input  wire         m_axi_load3_rlast,
  input  wire         m_axi_load3_rvalid,
  output wire         m_axi_load3_rready
);

  localparam integer PORTS = PRESET == 3 ? 4 : PRESET == 2 ? 2 : 1;

  wire [2:0]   size;
  wire [1:0]   burst;
  wire [3:0]   cache;
  wire [2:0]   prot;
  wire [15:0]  strb;

  // All four ports; the geometry drives the lowest PORTS of them.
  wire [3:0]   arvalid, arready, rvalid, rready, rlast;
  wire [255:0] araddr;
  wire [31:0]  arlen;
  wire [511:0] rdata;
  wire [7:0]   rresp;

  fqbert_top #(.PRESET(PRESET), .BUILD(BUILD)) u_top (
    .clk_i(clk), .rst_ni(rst_n), .irq_o(irq),
    .axil_awaddr_i(s_axil_awaddr),
    .axil_awvalid_i(s_axil_awvalid),
    .axil_awready_o(s_axil_awready),
    .axil_wdata_i(s_axil_wdata),
    .axil_wstrb_i(s_axil_wstrb),
    .axil_wvalid_i(s_axil_wvalid),
    .axil_wready_o(s_axil_wready),
    .axil_bresp_o(s_axil_bresp),
    .axil_bvalid_o(s_axil_bvalid),
    .axil_bready_i(s_axil_bready),
    .axil_araddr_i(s_axil_araddr),
    .axil_arvalid_i(s_axil_arvalid),
    .axil_arready_o(s_axil_arready),
    .axil_rdata_o(s_axil_rdata),
    .axil_rresp_o(s_axil_rresp),
    .axil_rvalid_o(s_axil_rvalid),
    .axil_rready_i(s_axil_rready),
    .ctl_araddr_o(m_axi_ctl_araddr),
    .ctl_arlen_o(m_axi_ctl_arlen),
    .ctl_arvalid_o(m_axi_ctl_arvalid),
    .ctl_arready_i(m_axi_ctl_arready),
    .ctl_rdata_i(m_axi_ctl_rdata),
    .ctl_rresp_i(m_axi_ctl_rresp),
    .ctl_rlast_i(m_axi_ctl_rlast),
    .ctl_rvalid_i(m_axi_ctl_rvalid),
    .ctl_rready_o(m_axi_ctl_rready),
    .ctl_awaddr_o(m_axi_ctl_awaddr),
    .ctl_awlen_o(m_axi_ctl_awlen),
    .ctl_awvalid_o(m_axi_ctl_awvalid),
    .ctl_awready_i(m_axi_ctl_awready),
    .ctl_wdata_o(m_axi_ctl_wdata),
    .ctl_wlast_o(m_axi_ctl_wlast),
    .ctl_wvalid_o(m_axi_ctl_wvalid),
    .ctl_wready_i(m_axi_ctl_wready),
    .ctl_bresp_i(m_axi_ctl_bresp),
    .ctl_bvalid_i(m_axi_ctl_bvalid),
    .ctl_bready_o(m_axi_ctl_bready),
    .load_araddr_o(araddr[64*PORTS-1:0]),
    .load_arlen_o(arlen[8*PORTS-1:0]),
    .load_arvalid_o(arvalid[PORTS-1:0]),
    .load_arready_i(arready[PORTS-1:0]),
    .load_rdata_i(rdata[128*PORTS-1:0]),
    .load_rresp_i(rresp[2*PORTS-1:0]),
    .load_rlast_i(rlast[PORTS-1:0]),
    .load_rvalid_i(rvalid[PORTS-1:0]),
    .load_rready_o(rready[PORTS-1:0]),
    .axi_size_o(size), .axi_burst_o(burst),
    .axi_cache_o(cache), .axi_prot_o(prot), .axi_wstrb_o(strb)
  );

  assign m_axi_ctl_arsize  = size;
  assign m_axi_ctl_arburst = burst;
  assign m_axi_ctl_arcache = cache;
  assign m_axi_ctl_arprot  = prot;
  assign m_axi_ctl_awsize  = size;
  assign m_axi_ctl_awburst = burst;
  assign m_axi_ctl_awcache = cache;
  assign m_axi_ctl_awprot  = prot;
  assign m_axi_ctl_wstrb   = strb;

  generate
    if (PORTS < 4) begin : gen_quiet
      assign arvalid[3:PORTS] = {(4 - PORTS){1'b0}};
      assign rready[3:PORTS]  = {(4 - PORTS){1'b0}};
      assign araddr[255:64*PORTS] = {(256 - 64 * PORTS){1'b0}};
      assign arlen[31:8*PORTS]    = {(32 - 8 * PORTS){1'b0}};
      wire unused_ports;
      assign unused_ports = ^{
        arready[3:PORTS], rvalid[3:PORTS], rlast[3:PORTS], rdata[511:128*PORTS], rresp[7:2*PORTS]
      };
    end
  endgenerate

  assign {m_axi_load3_araddr, m_axi_load2_araddr, m_axi_load1_araddr, m_axi_load0_araddr} = araddr;
  assign {m_axi_load3_arlen, m_axi_load2_arlen, m_axi_load1_arlen, m_axi_load0_arlen} = arlen;
  assign m_axi_load0_arsize = size;
  assign m_axi_load1_arsize = size;
  assign m_axi_load2_arsize = size;
  assign m_axi_load3_arsize = size;
  assign m_axi_load0_arburst = burst;
  assign m_axi_load1_arburst = burst;
  assign m_axi_load2_arburst = burst;
  assign m_axi_load3_arburst = burst;
  assign m_axi_load0_arcache = cache;
  assign m_axi_load1_arcache = cache;
  assign m_axi_load2_arcache = cache;
  assign m_axi_load3_arcache = cache;
  assign m_axi_load0_arprot = prot;
  assign m_axi_load1_arprot = prot;
  assign m_axi_load2_arprot = prot;
  assign m_axi_load3_arprot = prot;
  assign {m_axi_load3_arvalid, m_axi_load2_arvalid,
          m_axi_load1_arvalid, m_axi_load0_arvalid} = arvalid;
  assign arready = {m_axi_load3_arready, m_axi_load2_arready,
                    m_axi_load1_arready, m_axi_load0_arready};
  assign rdata = {m_axi_load3_rdata, m_axi_load2_rdata, m_axi_load1_rdata, m_axi_load0_rdata};
  assign rresp = {m_axi_load3_rresp, m_axi_load2_rresp, m_axi_load1_rresp, m_axi_load0_rresp};
  assign rlast = {m_axi_load3_rlast, m_axi_load2_rlast, m_axi_load1_rlast, m_axi_load0_rlast};
  assign rvalid = {m_axi_load3_rvalid, m_axi_load2_rvalid, m_axi_load1_rvalid, m_axi_load0_rvalid};
  assign {m_axi_load3_rready, m_axi_load2_rready, m_axi_load1_rready, m_axi_load0_rready} = rready;

endmodule
