#pragma once
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

// Functions that are macros in some versions of OpenSSL.

static inline int confab_key_type(const EVP_PKEY *key) { return EVP_PKEY_id(key); }
static inline int confab_key_bits(const EVP_PKEY *key) { return EVP_PKEY_bits(key); }
