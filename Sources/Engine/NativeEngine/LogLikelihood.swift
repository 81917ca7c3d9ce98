import Glibc

/// Negative log-likelihoods in double precision over single-precision logits.
enum LogLikelihood {
    /// `-log(softmax(logits)[target])` in nats, by log-sum-exp with the greatest logit taken out.
    static func negative(of target: Int, in logits: UnsafeBufferPointer<Float>) -> Double {
        var greatest = -Float.infinity
        for logit in logits where logit > greatest { greatest = logit }
        guard greatest.isFinite, logits.indices.contains(target) else { return .infinity }
        let shift = Double(greatest)
        var sum = 0.0
        for logit in logits { sum += exp(Double(logit) - shift) }
        return log(sum) + shift - Double(logits[target])
    }
}
