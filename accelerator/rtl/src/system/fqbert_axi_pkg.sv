// AXI4 and AXI4-Lite as the modules of the system pass them on: what a master drives is a request,
// what comes back a response. Members are the standard's signals (Arm IHI 0022); those that never
// change (size, burst, cache, prot, strobes) are fqbert_top's.
/* verilator lint_off UNUSEDPARAM */
package fqbert_axi_pkg;
  import fqbert_pkg::*;

  localparam int unsigned ADDRESS_BITS = 64;
  localparam int unsigned BEAT_BITS = 8 * BEAT_BYTES;

  // A burst, on AR or AW: `len` is its beats less one.
  typedef struct packed {
    logic [ADDRESS_BITS-1:0] addr;
    logic [7:0]              len;
  } axi_ax_t;

  typedef struct packed {
    logic [BEAT_BITS-1:0] data;
    logic [1:0]           resp;
    logic                 last;
  } axi_r_t;

  typedef struct packed {
    logic [BEAT_BITS-1:0] data;
    logic                 last;
  } axi_w_t;

  // The read channels of an AXI4 master.
  typedef struct packed {
    logic    ar_valid;
    axi_ax_t ar;
    logic    r_ready;
  } axi_read_req_t;

  typedef struct packed {
    logic   ar_ready;
    logic   r_valid;
    axi_r_t r;
  } axi_read_rsp_t;

  // The write channels.
  typedef struct packed {
    logic    aw_valid;
    axi_ax_t aw;
    logic    w_valid;
    axi_w_t  w;
    logic    b_ready;
  } axi_write_req_t;

  typedef struct packed {
    logic       aw_ready;
    logic       w_ready;
    logic       b_valid;
    logic [1:0] b_resp;
  } axi_write_rsp_t;

  // AXI4-Lite, all channels.
  typedef struct packed {
    logic        aw_valid;
    logic [11:0] aw_addr;
    logic        w_valid;
    logic [31:0] w_data;
    logic [3:0]  w_strb;
    logic        b_ready;
    logic        ar_valid;
    logic [11:0] ar_addr;
    logic        r_ready;
  } axil_req_t;

  typedef struct packed {
    logic        aw_ready;
    logic        w_ready;
    logic        b_valid;
    logic [1:0]  b_resp;
    logic        ar_ready;
    logic        r_valid;
    logic [31:0] r_data;
    logic [1:0]  r_resp;
  } axil_rsp_t;

  // Responses (A3.4.4).
  localparam logic [1:0] RESPONSE_DECERR = 2'b11;

  // The fault that a failed burst is. Bit 1 of a response tells that it failed.
  function automatic fault_e response_cause(logic [1:0] response);
    return response == RESPONSE_DECERR ? FAULT_AXI_DECERR : FAULT_AXI_SLVERR;
  endfunction

endpackage
/* verilator lint_on UNUSEDPARAM */
