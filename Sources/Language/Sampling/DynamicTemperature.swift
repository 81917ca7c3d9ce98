/// A temperature that follows the model's certainty: low where one token stands out, high where many are as good.
///
/// The share of the greatest possible entropy, to the power of `exponent`, moves it from `lowest` to `highest`
/// (Zhu et al.: "Hot or Cold? Adaptive Temperature Sampling", 2023, for the idea).
struct DynamicTemperature {
    let lowest: Double
    let highest: Double
    let exponent: Double

    init(_ parameters: SamplerParameters) {
        let middle = Double(parameters.temperature)
        let range = Double(parameters.dynamicTemperatureRange)
        lowest = max(0, middle - range)
        highest = middle + range
        exponent = Double(parameters.dynamicTemperatureExponent)
    }

    /// The temperature for a row of logits, whose entropy is taken at temperature 1; it is never 0.
    func temperature(for row: UnsafeMutableBufferPointer<Float>, peak: Float) -> Double {
        let top = Double(peak)
        var count = 0.0
        var total = 0.0
        var weighted = 0.0
        for logit in row where logit > -.infinity {
            let distance = Double(logit) - top
            let weight = Exponential.ofNonPositive(distance)
            count += 1
            total += weight
            if weight > 0 { weighted += weight * distance }
        }
        guard count > 1 else { return max(highest, .leastNormalMagnitude) }
        let entropy = Logarithm.natural(total) - weighted / total
        let share = min(1, max(0, entropy / Logarithm.natural(count)))
        let scale = exponent == 0 ? 1 : Exponential.ofNonPositive(exponent * Logarithm.natural(share))
        return max(lowest + (highest - lowest) * scale, .leastNormalMagnitude)
    }
}
