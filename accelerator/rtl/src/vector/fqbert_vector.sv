// The VECTOR engine: takes SOFTMAX and LAYERNORM instructions, whose fields and semaphores have
// been checked, and retires them in order. The two cores work at the same time; each takes the
// cycles of accelerator/contract/src/timing.
//
// An instruction starts in the cycle of cmd_valid_i and cmd_ready_o; cmd_ready_o rises `issue`
// cycles later and retire_o `latency` cycles later, when everything it has written can be read.
// Data of a read is valid two cycles after the cycle of its ren; a write is done in the cycle of
// its wen, in ACT when act_wready_i is high too. The engine has EXP; LOAD writes it.
module fqbert_vector
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS        = 4,
  parameter int unsigned LANES       = 8,
  parameter int unsigned LN_CHANNELS = 1,
  parameter int unsigned MAX_SEQ     = 512,
  parameter int unsigned MAX_HIDDEN  = 1024
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  logic                     cmd_valid_i,
  output logic                     cmd_ready_o,
  input  fqbert_pkg::instruction_t cmd_i,
  output logic                     retire_o,

  input  logic                     exp_wen_i,
  input  logic [15:0]              exp_waddr_i,
  input  logic [127:0]             exp_wdata_i,

  // Softmax.
  output logic                     scr_ren_o,
  output logic [15:0]              scr_raddr_o,
  input  logic [ROWS*16-1:0]       scr_rdata_i,
  output logic                     rng_ren_o,
  output logic [15:0]              rng_raddr_o,
  input  logic [127:0]             rng_rdata_i,
  output logic                     prb_wen_o,
  output logic [15:0]              prb_waddr_o,
  output logic [ROWS*LANES*8-1:0]  prb_wdata_o,
  output logic [ROWS*LANES-1:0]    prb_wbe_o,

  // Layer norm.
  output logic                     resx_ren_o,
  output logic [15:0]              resx_raddr_o,
  input  logic [ROWS*32-1:0]       resx_rdata_i,
  output logic                     resb_ren_o,
  output logic [15:0]              resb_raddr_o,
  input  logic [ROWS*32-1:0]       resb_rdata_i,
  output logic                     lnp_ren_o,
  output logic [15:0]              lnp_raddr_o,
  input  logic [127:0]             lnp_rdata_i,
  output logic                     resx_wen_o,
  output logic [15:0]              resx_waddr_o,
  output logic [ROWS*32-1:0]       resx_wdata_o,
  output logic [ROWS*4-1:0]        resx_wbe_o,
  output logic                     act_wen_o,
  input  logic                     act_wready_i,
  output logic [15:0]              act_waddr_o,
  output logic [ROWS*LANES*8-1:0]  act_wdata_o,
  output logic [ROWS*LANES-1:0]    act_wbe_o
);

  localparam int unsigned CORE_SOFTMAX   = 0;
  localparam int unsigned CORE_LAYERNORM = 1;

  logic       take, is_layernorm, order_ready;
  logic [1:0] ready, done;

  assign is_layernorm = cmd_i[7:0] == fqbert_pkg::OPCODE_LAYERNORM;
  // An instruction occupies the engine until its first pass is over, whichever core the next one is
  // for.
  assign cmd_ready_o = &ready && order_ready;
  assign take        = cmd_valid_i && cmd_ready_o;

  fqbert_retire_order u_order (
    .clk_i, .rst_ni, .take_i(take), .core_i(is_layernorm),
    .ready_o(order_ready), .done_i(done), .retire_o
  );

  fqbert_softmax #(.ROWS(ROWS), .LANES(LANES), .MAX_SEQ(MAX_SEQ)) u_softmax (
    .clk_i, .rst_ni,
    .start_i(take && !is_layernorm), .cmd_i(fqbert_pkg::softmax_t'(cmd_i)),
    .ready_o(ready[CORE_SOFTMAX]), .done_o(done[CORE_SOFTMAX]),
    .exp_wen_i, .exp_waddr_i(exp_waddr_i[5:0]), .exp_wdata_i,
    .rng_read_o({rng_ren_o, rng_raddr_o}), .rng_rdata_i,
    .scr_read_o({scr_ren_o, scr_raddr_o}), .scr_rdata_i,
    .prb_write_o({prb_wen_o, prb_waddr_o}), .prb_wdata_o, .prb_wbe_o
  );

  fqbert_layernorm #(
    .ROWS(ROWS), .LANES(LANES), .CHANNELS(LN_CHANNELS), .MAX_HIDDEN(MAX_HIDDEN)
  ) u_layernorm (
    .clk_i, .rst_ni,
    .start_i(take && is_layernorm), .cmd_i(fqbert_pkg::layernorm_t'(cmd_i)),
    .ready_o(ready[CORE_LAYERNORM]), .done_o(done[CORE_LAYERNORM]),
    .resx_read_o({resx_ren_o, resx_raddr_o}), .resx_rdata_i,
    .resb_read_o({resb_ren_o, resb_raddr_o}), .resb_rdata_i,
    .lnp_read_o({lnp_ren_o, lnp_raddr_o}), .lnp_rdata_i,
    .resx_write_o({resx_wen_o, resx_waddr_o}), .resx_wdata_o,
    .act_write_o({act_wen_o, act_waddr_o}), .act_wready_i, .act_wdata_o
  );
  assign resx_wbe_o = '1;
  assign act_wbe_o  = '1;

  logic unused_address;
  assign unused_address = ^exp_waddr_i[15:6];

endmodule
