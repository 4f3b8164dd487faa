/// Keys for tests, made by OpenSSL.
enum TestKeys {
  static let ed25519Private = """
    -----BEGIN PRIVATE KEY-----
    MC4CAQAwBQYDK2VwBCIEIIdSENWrpH+uxZQ8OciCQ6apYq3TYs7oncDwz7y48ZFQ
    -----END PRIVATE KEY-----

    """

  static let ed25519Public = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEAyKR7vw+aWmWoTn5QTwXS/Ji9JCCsMOeRMgspuizJRcQ=
    -----END PUBLIC KEY-----

    """

  static let p256Private = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbLlx0+lwG8bdRKiP
    liSMZnveUMpdJkvj97daWou/r3ehRANCAARUY5NZFMYi/lUj+fmZmh9zbapy/3wD
    kTmKTyuDe1UrgacIkmibHpx2nrCLAlCYMn4UXe9/urJ5M2M8AbuLxdBQ
    -----END PRIVATE KEY-----

    """

  static let p256Public = """
    -----BEGIN PUBLIC KEY-----
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEVGOTWRTGIv5VI/n5mZofc22qcv98
    A5E5ik8rg3tVK4GnCJJomx6cdp6wiwJQmDJ+FF3vf7qyeTNjPAG7i8XQUA==
    -----END PUBLIC KEY-----

    """

  static let p256Certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBejCCAR+gAwIBAgIUOyvPTc3upIEXuiS+UO2NTEit8YAwCgYIKoZIzj0EAwIw
    ETEPMA0GA1UEAwwGaXNzdWVyMCAXDTI2MTEzMDE0MzAzOFoYDzIxMjYxMTA2MTQz
    MDM4WjARMQ8wDQYDVQQDDAZpc3N1ZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
    AARUY5NZFMYi/lUj+fmZmh9zbapy/3wDkTmKTyuDe1UrgacIkmibHpx2nrCLAlCY
    Mn4UXe9/urJ5M2M8AbuLxdBQo1MwUTAdBgNVHQ4EFgQUt4AMEMcM/mZfETjr+oio
    QVVSTFYwHwYDVR0jBBgwFoAUt4AMEMcM/mZfETjr+oioQVVSTFYwDwYDVR0TAQH/
    BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAhpWVzEOzM2FkoiZDL/ZrBtmLTTJI
    SBeKbnJKdgjgC3gCIQDmumYMx7MkWgFkYwzRg7QKGXM2nj9crL9r6rTANQtNKQ==
    -----END CERTIFICATE-----

    """

  static let lockedPrivate = """
    -----BEGIN ENCRYPTED PRIVATE KEY-----
    MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhIJVhN9d0YKAICCAAw
    DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEAqRnpAp+O99XFWwHMIZBCoEgZAi
    gP08KD7poZndUHtdKjHGQ+qHkePA2rKN6OmD8JwQjd1VhS2hYUfXUdpeO0eFKjfF
    +jhqUzgz94XApP2vmad2Jg0cXgkm8xyPWVU3fgvCkLaFLkZFneWhtUsgXdqi4kp2
    I0bYT97/KnNWuM7LNcQAvKSU8QJQbOzmWevX25zgcsu0pih0QpHbItFfvPGUVJI=
    -----END ENCRYPTED PRIVATE KEY-----

    """

  static let rsaPrivate = """
    -----BEGIN PRIVATE KEY-----
    MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC6elphht/7nQr/
    4s53LpB8Rxva4XWMDcxoZas6n5ym5htJn7SqvEzR/8g1RTlB5yns9d+9z5jZh1bq
    01XfJA+WED1S/m5JoX7JDMKqnFrtiBSFE+t+geXkFfuk5wZN8Hbxi40E1VYORIoU
    Ab99LStmfZp7STbKXuKyiMMyE1nSIXtPruAmgwK5PXO5S9RPWucFwF2EOpH6Xtum
    7+u2h7OoO5KSjYXKHM9WJGgQcCxaxb76Fa82AhLCN5amEHb3IdL2jUu4GXoa05Er
    OUrOYaRiNhTABx14/qOAdgCq+hTn08Jgx+im9kWrRIhhiDCAlKkVeWZXq3STCthU
    ym3A5PmXAgMBAAECggEAPgspeRtz+HZmy3597V97yS2rkebDwmZw5Sc2klm6uDkF
    STiu1sOx14j/5uFyTIAKDgI8gB3LIE0MWTMZdhW8bdRXYv6uWSc3VNM/DZ7aDf/h
    u+lFyCCWCY5a3KHVEid4m6MvtzT33eVl/4QZXx+hOgd+V5ijdy+cw4QHVejkUKor
    Os/Q0JiELKg5CqG7y6t/4nI9SPv0f5qU7tDAXQf/T5dDAEwL67pbOabQgvIr8Zqy
    FxSI/MFjf3ExCbHjR8KV6Ob+Qy2qA/GXOG9A3eY33FQqdaZUhvptCkv9RFPcMbP1
    thgzM8EsbQZRG7wLrKYxCVWVuuusYqBcpnivRtzTsQKBgQDuMl1mjhpnMeIMqWgH
    i45f6/ybqJaqI8hg6O4RPFsl4dlxA+r3PjbB6rSMGhFRkHlm82lkJuwYX1VJB/pO
    6icAH4tF/O6CboTlvjzKbQMctvy8/o7KCn5hTtah4ItS7+gcPPZZhwID4cvYa8oy
    QulGk8Mhgys9ETryZjP2TQfbSQKBgQDIamfGQWh+KfUQmHUGH7MUaLez92dOv41Z
    0UDlvSYgthGzxBCq7/6IIWnAliZTZvp7P/6Ct4V2Ufg9i9TANfSX4q3UcVtM78i+
    of0hxjHuTxi3+H/3gyEmLzck1hbi3shOMRYYoRUpzInos2gtc+ZrWlDIq0yIKQix
    8oRRoVhN3wKBgQDjFCSytlo5cva7d2zzdHngvErv4kLwJHjM2oLK7609ahgvg7qm
    xirRp31D6z4DciYqnXclwW1mtsvJec+JF/TiSzAtIroGonITy86MdGx5HYHIcy2R
    M3vULKK1ZCmugYPYF84K/4hORx5cTjZOwDc/z3JBKpk3+Isnt4NmFX2d8QKBgF5/
    NWEYdCGQvPlPOVZi2fhUi9GyZKaP0SE5diUc835W+q/NUaKXuGcNgiSJZ5bJpm84
    tFOEHsy0R50VcoISrrpy6k2SCV+UbA3eqVEkd2SLLPeJlyToUlgDyTd4LqBYNRAR
    Ov7v7N+hjqEG/qb3z/xsQEzt4A8Pcgcdd2BZ+B33AoGBAKn1xoaQ4HcS7Pb0caU8
    6ZuzwEK4z/uWeJGNxWkDCf5jyfBaL0QxImKdQ2XUIJgID2etmxzTlLy73Q1weFEi
    mez98joiKcukETDzn0sDASPp8jDl8C7yoZyKG8nlHWo3P7/Zb/q3btK7BRx3gWWC
    ih6gYo1X5mCZMDBFVpxun9ym
    -----END PRIVATE KEY-----

    """

  static let rsaPublic = """
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAunpaYYbf+50K/+LOdy6Q
    fEcb2uF1jA3MaGWrOp+cpuYbSZ+0qrxM0f/INUU5Qecp7PXfvc+Y2YdW6tNV3yQP
    lhA9Uv5uSaF+yQzCqpxa7YgUhRPrfoHl5BX7pOcGTfB28YuNBNVWDkSKFAG/fS0r
    Zn2ae0k2yl7isojDMhNZ0iF7T67gJoMCuT1zuUvUT1rnBcBdhDqR+l7bpu/rtoez
    qDuSko2FyhzPViRoEHAsWsW++hWvNgISwjeWphB29yHS9o1LuBl6GtORKzlKzmGk
    YjYUwAcdeP6jgHYAqvoU59PCYMfopvZFq0SIYYgwgJSpFXlmV6t0kwrYVMptwOT5
    lwIDAQAB
    -----END PUBLIC KEY-----

    """

  static let rsa1024Public = """
    -----BEGIN PUBLIC KEY-----
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC6+8Domxb/P2xh4bGNukiJBCMf
    WpfIsoXfDSub7ccWb2nV0ekSdGcAWfaom5b+4BlR0BcpFdkrHAqaS1M4ok+1QhwI
    MIJNJqdsGz/QMJ7dbAwYMdzlWx2L2cNy/9N/gVnlsdh5w3DGDjhosnPC8Kh072dM
    uG/le5g5KJ4yYmoQuQIDAQAB
    -----END PUBLIC KEY-----

    """

  static let p384Public = """
    -----BEGIN PUBLIC KEY-----
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEQpooIXjB/K4d+eXzuRe0dFQWPT2A/ibU
    lMQJB+sCdH8nr8VWANlLRMHXUbSeXJ0kOF4UwZquOrnOGdSbO681oWvXX2PyuqeZ
    jDlpAFCtZk9dFSK+MrrnsW0aF+Vl7gH0
    -----END PUBLIC KEY-----

    """
}
