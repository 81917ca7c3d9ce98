import Glibc
import Tensors

/// Rotary position embedding: pair i of a head is turned by position · frequency i.
///
/// Source: Su et al., "RoFormer" (2021); linear scaling: Chen et al. (2023); YaRN: Peng et al. (2023).
public struct RotaryEmbedding: Sendable {
    /// Which elements of a head form a pair.
    public enum Pairing: Sendable {
        /// Elements 2 i and 2 i + 1.
        case neighbours
        /// Elements i and i + pairs.
        case halves
    }

    public let pairing: Pairing
    /// Radians per position, for each pair.
    public let frequencies: [Double]
    /// Factor on cosines and sines: YaRN's correction of the attention's temperature.
    public let magnitude: Double

    public var pairs: Int { frequencies.count }

    /// How the frequencies of the training are stretched to a longer context.
    enum Scaling {
        case none
        /// All frequencies divided by the factor.
        case linear(Double)
        case yarn(Yarn)
    }

    struct Yarn {
        var factor: Double
        var trainedContextLength: Double
        var attentionFactor = 1.0
        var fastTurns = 32.0
        var slowTurns = 1.0
    }

    /// `divisors` divides each frequency, as Llama 3 files ask for; empty: none.
    init(pairing: Pairing, dimensions: Int, base: Double, scaling: Scaling, divisors: [Float]) {
        let pairs = dimensions / 2
        self.pairing = pairing
        var frequencies = (0..<pairs).map { pow(base, -2 * Double($0) / Double(dimensions)) }
        for (pair, divisor) in zip(0..<pairs, divisors) { frequencies[pair] /= Double(divisor) }
        switch scaling {
        case .none:
            magnitude = 1
        case .linear(let factor):
            for pair in 0..<pairs { frequencies[pair] /= factor }
            magnitude = 1
        case .yarn(let yarn):
            for pair in 0..<pairs {
                let share = yarn.extrapolatedShare(pair: pair, dimensions: dimensions, base: base)
                frequencies[pair] *= share + (1 - share) / yarn.factor
            }
            magnitude = yarn.attentionFactor * (1 + 0.1 * log(max(yarn.factor, 1)))
        }
        self.frequencies = frequencies
    }

    /// Fills a row of the tables with the cosines and sines for a position.
    func fill(row: Int, position: Int, cosines: FloatRows, sines: FloatRows) {
        let (cosines, sines) = (cosines[row], sines[row])
        for pair in 0..<pairs {
            let angle = Double(position) * frequencies[pair]
            cosines[pair] = Float(cos(angle) * magnitude)
            sines[pair] = Float(sin(angle) * magnitude)
        }
    }
}

extension RotaryEmbedding.Yarn {
    /// 1 where a pair keeps its frequency, 0 where it is divided by the factor, a ramp between.
    func extrapolatedShare(pair: Int, dimensions: Int, base: Double) -> Double {
        /// The pair that turns `turns` times over the context of the training.
        func pairTurning(_ turns: Double) -> Double {
            Double(dimensions) * log(trainedContextLength / (turns * 2 * .pi)) / (2 * log(base))
        }
        let low = max(pairTurning(fastTurns).rounded(.down), 0)
        let high = min(pairTurning(slowTurns).rounded(.up), Double(dimensions - 1))
        let ramp = (Double(pair) - low) / max(high - low, 0.001)
        return 1 - min(max(ramp, 0), 1)
    }
}
