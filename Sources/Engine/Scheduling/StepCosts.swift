/// What a step costs: a part for every step, one for each row, and one for each position that a row looks back at.
public struct StepCosts: Sendable, Equatable {
    /// Nanoseconds of a step, of a row, and of a position of depth.
    public let step: Double
    public let row: Double
    public let depth: Double

    public init(step: Double, row: Double, depth: Double) {
        self.step = step
        self.row = row
        self.depth = depth
    }

    /// Nanoseconds that rows add to a step; `depths` is the sum of the positions that they look back at.
    public func nanoseconds(rows: Int, depths: Double) -> Double { row * Double(rows) + depth * depths }

    /// How many consecutive rows from `position` on take at most `nanoseconds`, up to `limit`.
    func rows(within nanoseconds: Double, from position: Int, limit: Int) -> Int {
        var left = nanoseconds
        var count = 0
        while count < limit {
            left -= row + depth * Double(position + count + 1)
            guard left >= 0 else { break }
            count += 1
        }
        return count
    }

    /// The sum of the positions that consecutive rows look back at; each sees itself too.
    static func depths(from position: Int, count: Int) -> Double {
        Double(count) * (Double(position) + Double(count + 1) / 2)
    }
}

/// Learns the costs of steps from the steps that were measured.
///
/// A least-squares fit whose samples lose weight with every new one. A sample counts by its relative error, so that
/// short steps matter as much as long ones. What the recent steps do not tell apart keeps the value that it had.
public struct StepCostModel: Sendable {
    /// A share that a sample keeps with each newer one: half of it is gone after 34.
    private static let retention = 0.98
    /// Rows and depths are scaled to be about one.
    private static let scale = SIMD4(1, 1.0 / 64, 1.0 / 65_536, 0)

    /// Sums over the samples: products of the features, and features times the time.
    private var squares: [SIMD4<Double>] = Array(repeating: .zero, count: 3)
    private var targets = SIMD4<Double>.zero
    private var weights = SIMD4<Double>.zero
    private var samples = 0

    public init() {}

    /// The fit; nil before the first sample.
    public var costs: StepCosts? {
        guard samples > 0 else { return nil }
        let costs = weights * Self.scale
        return StepCosts(step: costs[0], row: costs[1], depth: costs[2])
    }

    /// Takes the measured duration of a step.
    public mutating func add(rows: Int, depths: Double, nanoseconds: UInt64) {
        guard rows > 0, nanoseconds > 0 else { return }
        let time = Double(nanoseconds)
        let features = SIMD4(1, Double(rows), depths, 0) * Self.scale
        // The first sample says nothing about its parts: half for the step, half for its rows.
        if samples == 0 { weights = SIMD4(time / 2, time / 2 / features[1], 0, 0) }
        samples += 1
        for row in 0..<3 { squares[row] = squares[row] * Self.retention + features * (features[row] / (time * time)) }
        targets = targets * Self.retention + features / time
        fit()
    }

    /// Moves the weights to the least squares, and stays where no sample says otherwise.
    private mutating func fit() {
        let trace = squares[0][0] + squares[1][1] + squares[2][2]
        var matrix = squares
        var change = SIMD4<Double>.zero
        for row in 0..<3 {
            matrix[row][row] += trace * 1e-6
            change[row] = targets[row] - (squares[row] * weights).sum()
        }
        // Gauss elimination; the matrix is positive definite, so that it needs no pivots.
        for pivot in 0..<3 {
            for row in 0..<3 where row != pivot {
                let factor = matrix[row][pivot] / matrix[pivot][pivot]
                matrix[row] -= matrix[pivot] * factor
                change[row] -= change[pivot] * factor
            }
        }
        for row in 0..<3 { weights[row] = max(0, weights[row] + change[row] / matrix[row][row]) }
    }
}
