// Second pass of layer norm, its arithmetic: CHANNELS channels of every row a cycle, which share
// one stream of gamma and beta. After x come y16 12 and y8 15 cycles later.
module fqbert_layernorm_normalise
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS     = 4,
  parameter int unsigned CHANNELS = 1
) (
  input  logic                                clk_i,
  // The row tile.
  input  row_t [ROWS-1:0]                     rows_i,
  input  scales_t                             scales_i,
  // Its channels; records of the channels come with them.
  input  logic [ROWS-1:0][CHANNELS-1:0][15:0] x_i,
  input  logic [CHANNELS-1:0][39:0]           records_i, // gamma i8, beta i32
  output logic [ROWS-1:0][CHANNELS-1:0][15:0] y16_o,
  output logic [ROWS-1:0][CHANNELS-1:0][7:0]  y8_o
);

  localparam int unsigned GAMMA_CYCLES = 4;
  localparam int unsigned BETA_CYCLES  = 5;

  scales_t     scales_q;
  logic [47:0] half16_q, half8_q;
  always_ff @(posedge clk_i) begin
    scales_q     <= scales_i;
    scales_q.s16 <= effective_shift(scales_i.s16);
    scales_q.s8  <= effective_shift(scales_i.s8);
    half16_q     <= half_of(scales_q.s16);
    half8_q      <= half_of(scales_q.s8);
  end

  logic [CHANNELS-1:0][7:0]  gamma;
  logic [CHANNELS-1:0][31:0] beta;
  for (genvar e = 0; e < CHANNELS; e++) begin : gen_record
    fqbert_delay #(.WIDTH(8), .CYCLES(GAMMA_CYCLES)) u_gamma (
      .clk_i, .data_i(records_i[e][39:32]), .data_o(gamma[e])
    );
    fqbert_delay #(.WIDTH(32), .CYCLES(BETA_CYCLES)) u_beta (
      .clk_i, .data_i(records_i[e][31:0]), .data_o(beta[e])
    );
  end

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    logic [47:0] half_q;
    always_ff @(posedge clk_i) half_q <= half_of({1'b0, rows_i[r].shift});
    for (genvar e = 0; e < CHANNELS; e++) begin : gen_channel
      fqbert_layernorm_lane u_lane (
        .clk_i, .row_i(rows_i[r]), .half_i(half_q),
        .scales_i(scales_q), .half16_i(half16_q), .half8_i(half8_q),
        .x_i(x_i[r][e]), .gamma_i(gamma[e]), .beta_i(beta[e]),
        .y16_o(y16_o[r][e]), .y8_o(y8_o[r][e])
      );
    end
  end

endmodule
