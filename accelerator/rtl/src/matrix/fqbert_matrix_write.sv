// The write ports of ACT, RESB and SCR for results: two channels of R tokens in one word. ACT may
// take them through the GELU table.
module fqbert_matrix_write
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned LANES = 8
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  step_t                            step_i,
  input  logic [ROWS-1:0][1:0][15:0]       results_i, // one cycle after the step

  input  logic                             gel_wen_i,
  input  logic [4:0]                       gel_waddr_i,
  input  logic [127:0]                     gel_wdata_i,

  // Two cycles after the step.
  output logic                             act_wen_o,
  output logic                             resb_wen_o,
  output logic                             scr_wen_o,
  output logic [15:0]                      waddr_o,
  output logic [ROWS-1:0][LANES-1:0][7:0]  act_wdata_o,
  output logic [ROWS-1:0][LANES-1:0]       act_wbe_o,
  output logic [ROWS-1:0][1:0][15:0]       resb_wdata_o,
  output logic [ROWS-1:0][1:0][7:0]        scr_wdata_o
);

  localparam int unsigned LANE_BITS = $clog2(LANES);

  logic        act_q, resb_q, scr_q, gelu_q, table_q;
  logic [15:0] addr_q;
  logic [LANES-1:0] lanes_q;

  always_ff @(posedge clk_i) begin
    act_q   <= rst_ni && step_i.write && step_i.dest == fqbert_pkg::MATMUL_DEST_ACT;
    resb_q  <= rst_ni && step_i.write && step_i.dest == fqbert_pkg::MATMUL_DEST_RESB;
    scr_q   <= rst_ni && step_i.write && step_i.dest == fqbert_pkg::MATMUL_DEST_SCR;
    gelu_q  <= step_i.gelu;
    table_q <= step_i.table_;
    addr_q  <= step_i.word
             + (step_i.dest == fqbert_pkg::MATMUL_DEST_ACT ? step_i.position >> LANE_BITS
                                                           : step_i.position >> 1);
    for (int unsigned l = 0; l < LANES; l++) begin
      lanes_q[l] <= LANE_BITS'(l) >> 1 == step_i.position[LANE_BITS-1:0] >> 1;
    end
  end

  always_ff @(posedge clk_i) begin
    act_wen_o  <= act_q && rst_ni;
    resb_wen_o <= resb_q && rst_ni;
    scr_wen_o  <= scr_q && rst_ni;
    waddr_o    <= addr_q;
  end

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    logic [1:0][7:0] codes;
    for (genvar n = 0; n < 2; n++) begin : gen_channel
      logic [7:0] code;
      fqbert_gelu_table u_gelu (
        .clk_i,
        .wen_i  (gel_wen_i),
        .waddr_i(gel_waddr_i),
        .wdata_i(gel_wdata_i),
        .table_i(table_q),
        .x_i    (results_i[r][n][7:0]),
        .code_o (code)
      );
      assign codes[n] = gelu_q ? code : results_i[r][n][7:0];
      always_ff @(posedge clk_i) scr_wdata_o[r][n] <= results_i[r][n][7:0];
    end
    always_ff @(posedge clk_i) begin
      act_wdata_o[r]  <= {(LANES / 2) {codes}};
      act_wbe_o[r]    <= lanes_q;
      resb_wdata_o[r] <= results_i[r];
    end
  end

  logic unused_step;
  assign unused_step = ^step_i;

endmodule
