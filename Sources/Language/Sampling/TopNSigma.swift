/// Top-n-sigma (Tang et al.: "Top-nσ: Not All Logits Are You Need", 2024).
///
/// Noise of a model's logits looks like a normal distribution, so a token stays when its logit is within n standard
/// deviations of the greatest one. Scaling by a temperature moves all of that alike: where it is applied does not matter.
enum TopNSigma {
    /// Sets the logits that are further away to minus infinity; those that are there already do not count.
    static func apply(_ n: Float, to row: UnsafeMutableBufferPointer<Float>, peak: Float) {
        var count = 0.0
        var sum = 0.0
        for logit in row where logit > -.infinity {
            count += 1
            sum += Double(logit)
        }
        let mean = sum / count
        var squares = 0.0
        for logit in row where logit > -.infinity {
            let distance = Double(logit) - mean
            squares += distance * distance
        }
        // Distances are compared as squares, which needs no root.
        let bound = Double(n) * Double(n) * squares / count
        for index in row.indices {
            let distance = Double(peak) - Double(row[index])
            if distance * distance > bound { row[index] = -.infinity }
        }
    }
}
