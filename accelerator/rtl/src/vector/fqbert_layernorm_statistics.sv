// First pass of layer norm: residual add, the sums of every row, and then the statistics of one row
// after the other. The first row's are there 23 cycles after the last channels, the others' a cycle
// later each; they hold until the next row tile's.
module fqbert_layernorm_statistics
  import fqbert_vector_pkg::*;
#(
  parameter int unsigned ROWS     = 4,
  parameter int unsigned CHANNELS = 1
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  logic [11:0]                         n_i,
  input  mean_t                               mean_i,
  // CHANNELS channels of the residual stream and of the branch.
  input  logic                                valid_i,
  input  logic                                first_i,
  input  logic                                last_i,
  input  logic [ROWS-1:0][CHANNELS-1:0][15:0] a_i,
  input  logic [ROWS-1:0][CHANNELS-1:0][15:0] b_i,
  output logic [ROWS-1:0][CHANNELS-1:0][15:0] x_o, // one cycle later
  output row_t [ROWS-1:0]                     rows_o
);

  localparam int unsigned ROW      = ROWS > 1 ? $clog2(ROWS) : 1;
  localparam int unsigned SUMMED   = 4;  // cycles from channels to their squares' sum
  localparam int unsigned PIPELINE = 18; // of fqbert_row_statistics

  logic signed [ROWS-1:0][26:0]               sums;
  logic        [ROWS-1:0][CHANNELS-1:0][41:0] squares;
  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    fqbert_row_sums #(.CHANNELS(CHANNELS)) u_sums (
      .clk_i, .valid_i, .first_i, .a_i(a_i[r]), .b_i(b_i[r]),
      .x_o(x_o[r]), .sum_o(sums[r]), .squares_o(squares[r])
    );
  end

  logic           summed, running_q, known;
  logic [ROW-1:0] row_q, known_row;
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(SUMMED - 1)) u_summed (
    .clk_i, .rst_ni, .marker_i(valid_i && last_i), .marker_o(summed)
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) running_q <= 1'b0;
    else if (summed) running_q <= 1'b1;
    else if (row_q == ROW'(ROWS - 1)) running_q <= 1'b0;

    row_q <= summed ? '0 : row_q + 1'b1;
  end

  row_t row;
  fqbert_row_statistics #(.CHANNELS(CHANNELS)) u_statistics (
    .clk_i, .n_i, .mean_i, .sum_i(sums[row_q]), .squares_i(squares[row_q]), .row_o(row)
  );
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(PIPELINE)) u_known (
    .clk_i, .rst_ni, .marker_i(running_q), .marker_o(known)
  );
  fqbert_delay #(.WIDTH(ROW), .CYCLES(PIPELINE)) u_known_row (
    .clk_i, .data_i(row_q), .data_o(known_row)
  );

  always_ff @(posedge clk_i) begin
    for (int unsigned r = 0; r < ROWS; r++) if (known && known_row == ROW'(r)) rows_o[r] <= row;
  end

endmodule
