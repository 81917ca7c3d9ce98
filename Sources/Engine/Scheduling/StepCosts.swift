/// What a step computes, as far as its time depends on it.
public struct StepWork: Sendable, Equatable {
    /// A row of which only some layers are computed counts as that part of one.
    public var rows: Double
    /// The positions that each row looks back at, summed over the rows.
    public var depths: Double
    /// The positions that each sequence looks back at, summed over the sequences: its rows read them together.
    public var reach: Double

    public init(rows: Double = 0, depths: Double = 0, reach: Double = 0) {
        self.rows = rows
        self.depths = depths
        self.reach = reach
    }

    /// Consecutive rows of one sequence; each sees itself too.
    public init(from position: Int, count: Int) {
        rows = Double(count)
        depths = Double(count) * (Double(position) + Double(count + 1) / 2)
        reach = count > 0 ? Double(position + count) : 0
    }

    public static func += (left: inout StepWork, right: StepWork) {
        left.rows += right.rows
        left.depths += right.depths
        left.reach += right.reach
    }

    /// That part of the work.
    public static func * (work: StepWork, part: Double) -> StepWork {
        StepWork(rows: work.rows * part, depths: work.depths * part, reach: work.reach * part)
    }
}

/// What a step costs: a part for every step, and one for each unit of its work.
public struct StepCosts: Sendable, Equatable {
    /// Nanoseconds of a step, of a row, of a position that a row looks back at, and of one that a sequence looks back at.
    public let step: Double
    public let row: Double
    public let depth: Double
    public let reach: Double

    public init(step: Double, row: Double, depth: Double, reach: Double = 0) {
        self.step = step
        self.row = row
        self.depth = depth
        self.reach = reach
    }

    /// Nanoseconds that work adds to a step.
    public func nanoseconds(_ work: StepWork) -> Double {
        row * work.rows + depth * work.depths + reach * work.reach
    }

    /// How many consecutive rows of a sequence from `position` on take at most `nanoseconds`, up to `limit`.
    func rows(within nanoseconds: Double, from position: Int, limit: Int) -> Int {
        var left = nanoseconds - reach * Double(position)
        var count = 0
        while count < limit {
            left -= row + depth * Double(position + count + 1) + reach
            guard left >= 0 else { break }
            count += 1
        }
        return count
    }
}

/// Learns the costs of steps from the steps that were measured.
///
/// Steps of one kind (how many rows, how deep, with or without prompts) are averaged, and the costs are the least squares
/// over the kinds, each by its relative error. So a thousand equal steps are one sample and not a thousand, and what they
/// do not show is not forgotten: beside a long prompt no step is without it for minutes, and yet it is known what one takes.
public struct StepCostModel: Sendable {
    /// The mean step of a kind.
    private struct Mean: Sendable {
        var features: SIMD4<Double>
        var nanoseconds: Double
        var count = 1.0
        var lastStep: Int
    }

    /// Steps that a mean is taken over, the newest with the most weight.
    private static let memory = 16.0
    /// A step that takes more times the mean was held up by something else, and counts as this many.
    private static let outlier = 3.0
    /// After so many steps without one of its kind, a mean has half its weight.
    private static let halfLife = 4000.0
    /// Keeps each cost near what it was where the kinds do not tell the costs apart.
    private static let damping = 1e-4
    /// Rows, depths and reach are scaled to be about one.
    private static let scale = SIMD4(1, 1.0 / 64, 1.0 / 65_536, 1.0 / 4096)

    private var means: [Int: Mean] = [:]
    private var weights = SIMD4<Double>.zero
    private var steps = 0

    public init() {}

    /// The fit; nil before the first step.
    public var costs: StepCosts? {
        guard steps > 0 else { return nil }
        let costs = weights * Self.scale
        return StepCosts(step: costs[0], row: costs[1], depth: costs[2], reach: costs[3])
    }

    /// Takes the measured duration of a step.
    public mutating func add(_ work: StepWork, nanoseconds: UInt64) {
        guard work.rows > 0, nanoseconds > 0 else { return }
        let features = SIMD4(1, work.rows, work.depths, work.reach) * Self.scale
        let time = Double(nanoseconds)
        // The first step says nothing about its parts: half for the step, half for its rows.
        if steps == 0 { weights = SIMD4(time / 2, time / 2 / features[1], 0, 0) }
        steps += 1
        let kind = Self.kind(of: work)
        if var mean = means[kind] {
            mean.count = min(mean.count + 1, Self.memory)
            mean.features += (features - mean.features) / mean.count
            mean.nanoseconds += (min(time, Self.outlier * mean.nanoseconds) - mean.nanoseconds) / mean.count
            mean.lastStep = steps
            means[kind] = mean
        } else {
            means[kind] = Mean(features: features, nanoseconds: time, lastStep: steps)
        }
        fit()
    }

    /// Steps of one kind have about as many rows, look back about as far, and share what they look back at alike.
    private static func kind(of work: StepWork) -> Int {
        func magnitude(_ value: Double) -> Int { Int.bitWidth - Int(value).leadingZeroBitCount }
        let depth = magnitude(work.depths / work.rows)
        let sharing = magnitude(work.depths / max(1, work.reach))
        return (magnitude(work.rows) << 8 | depth) << 8 | sharing
    }

    /// Moves the weights to the least squares without a negative one, and stays where no kind says otherwise.
    private mutating func fit() {
        var squares = Array(repeating: SIMD4<Double>.zero, count: 4)
        var targets = SIMD4<Double>.zero
        for mean in means.values {
            let age = Double(steps - mean.lastStep)
            let relative = mean.features / mean.nanoseconds
            let weight = mean.count * Self.halfLife / (Self.halfLife + age)
            for row in 0..<4 { squares[row] += relative * (relative[row] * weight) }
            targets += relative * weight
        }
        let damping = Self.damping * (0..<4).reduce(0) { $0 + squares[$1][$1] }
        for row in 0..<4 { targets[row] += damping * weights[row] }
        for row in 0..<4 { squares[row][row] += damping }
        var isFree = SIMDMask<SIMD4<Int64>>(repeating: true)
        // Each turn fixes the most negative weight at zero, or is the last.
        while true {
            weights = Self.solution(of: squares, targets, where: isFree)
            guard let least = (0..<4).min(by: { weights[$0] < weights[$1] }), weights[least] < 0 else { return }
            isFree[least] = false
        }
    }

    /// Gauss elimination, which needs no pivots because the matrix is positive definite; what is not free is zero.
    private static func solution(
        of squares: [SIMD4<Double>], _ targets: SIMD4<Double>, where isFree: SIMDMask<SIMD4<Int64>>
    ) -> SIMD4<Double> {
        var (matrix, right) = (squares, targets)
        for pivot in 0..<4 where isFree[pivot] {
            for row in 0..<4 where row != pivot && isFree[row] {
                let factor = matrix[row][pivot] / matrix[pivot][pivot]
                matrix[row] -= matrix[pivot] * factor
                right[row] -= right[pivot] * factor
            }
        }
        var solution = SIMD4<Double>.zero
        for row in 0..<4 where isFree[row] { solution[row] = right[row] / matrix[row][row] }
        return solution
    }
}
