// R x C cascades in lockstep, and the shadow that holds a finished tile while the next is summed. A
// chunk's operands enter in one cycle and are skewed by lane here; first_i starts a new sum with
// them, and capture_i moves the sums of now to the shadow.
module fqbert_array #(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic                                  clk_i,
  input  logic [ROWS-1:0][LANES-1:0][7:0]       a_i,
  input  logic                                  a_unsigned_i,
  input  logic [PAIRS-1:0][LANES-1:0][7:0]      b_i,
  input  logic                                  mode8_i,
  input  logic                                  first_i,
  input  logic                                  capture_i,
  output logic [ROWS-1:0][PAIRS-1:0][47:0]      shadow_o
);

  logic [ROWS-1:0][LANES-1:0][8:0]  a;
  logic [PAIRS-1:0][LANES-1:0][4:0] w_lo;
  logic [PAIRS-1:0][LANES-1:0][3:0] w_hi;
  logic                             accumulate;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic a_unsigned, mode8;
    fqbert_delay #(.WIDTH(2), .CYCLES(l)) u_mode (
      .clk_i, .data_i({a_unsigned_i, mode8_i}), .data_o({a_unsigned, mode8})
    );
    for (genvar r = 0; r < ROWS; r++) begin : gen_row
      logic [7:0] operand;
      fqbert_delay #(.WIDTH(8), .CYCLES(l)) u_skew (.clk_i, .data_i(a_i[r][l]), .data_o(operand));
      assign a[r][l] = {operand[7] & ~a_unsigned, operand};
    end
    for (genvar c = 0; c < PAIRS; c++) begin : gen_pair
      logic [7:0] operand;
      fqbert_delay #(.WIDTH(8), .CYCLES(l)) u_skew (.clk_i, .data_i(b_i[c][l]), .data_o(operand));
      assign w_lo[c][l] = {operand[3] & ~mode8, operand[3:0]};
      assign w_hi[c][l] = operand[7:4];
    end
  end

  fqbert_delay #(.WIDTH(1), .CYCLES(LANES - 1 + 2)) u_accumulate (
    .clk_i, .data_i(~first_i), .data_o(accumulate)
  );

  for (genvar r = 0; r < ROWS; r++) begin : gen_rows
    for (genvar c = 0; c < PAIRS; c++) begin : gen_pairs
      logic [47:0] sum;
      fqbert_cascade #(.LANES(LANES)) u_cascade (
        .clk_i,
        .a_i         (a[r]),
        .w_lo_i      (w_lo[c]),
        .w_hi_i      (w_hi[c]),
        .accumulate_i(accumulate),
        .p_o         (sum)
      );
      always_ff @(posedge clk_i) if (capture_i) shadow_o[r][c] <= sum;
    end
  end

endmodule
