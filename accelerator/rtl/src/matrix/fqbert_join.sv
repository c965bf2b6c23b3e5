// Takes the two channels of a drain step out of the shadow. 8x4: the two lanes of one pair; 8x8:
// two pairs, each with its lanes joined by the paper's type-A shift-add, 16 * high + low. Results
// come two cycles after the step.
module fqbert_join #(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4
) (
  input  logic                                       clk_i,
  input  logic [ROWS-1:0][PAIRS-1:0][47:0]           shadow_i,
  input  logic [7:0]                                 column_i,
  input  logic                                       mode8_i,
  output logic signed [ROWS-1:0][1:0][29:0]          sums_o
);

  localparam int unsigned HALF = PAIRS / 2;
  localparam int unsigned SELECT = HALF > 1 ? $clog2(HALF) : 1;

  // The lower lane is signed, so that where it is negative it has borrowed from the upper one.
  function automatic logic signed [29:0] lower(logic signed [22:0] low);
    return 30'(low);
  endfunction
  function automatic logic signed [29:0] upper(logic signed [24:0] high, logic borrow);
    return 30'(high) + 30'(borrow);
  endfunction
  function automatic logic signed [29:0] joined(logic [47:0] p);
    return (upper(p[47:23], p[22]) <<< 4) + lower(p[22:0]);
  endfunction

  logic [SELECT-1:0] half;
  assign half = SELECT'(mode8_i ? column_i : column_i >> 1);

  logic mode8_q, odd_q;
  always_ff @(posedge clk_i) begin
    mode8_q <= mode8_i;
    odd_q   <= column_i[0];
  end

  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    logic [47:0] even_q, odd_pair_q;
    logic [47:0] pair;
    always_ff @(posedge clk_i) begin
      even_q     <= shadow_i[r][{half, 1'b0}];
      odd_pair_q <= shadow_i[r][{half, 1'b1}];
    end
    assign pair = odd_q ? odd_pair_q : even_q;
    always_ff @(posedge clk_i) begin
      if (mode8_q) begin
        sums_o[r][0] <= joined(even_q);
        sums_o[r][1] <= joined(odd_pair_q);
      end else begin
        sums_o[r][0] <= lower(pair[22:0]);
        sums_o[r][1] <= upper(pair[47:23], pair[22]);
      end
    end
  end

  logic unused_column;
  assign unused_column = ^column_i;

endmodule
