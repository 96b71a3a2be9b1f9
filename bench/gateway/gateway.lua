-- What Kong's plugins jwt and rate-limiting do for RS256 and an hour, in nginx with Lua: the peer "nginx-lua", and with a cache
-- of verified tokens "nginx-lua-cached". It does nothing that those plugins would not do, and less than they do.
local ffi = require "ffi"
local base64 = require "ngx.base64"
local cjson = require "cjson.safe"
local lrucache = require "resty.lrucache"
require "resty.core"

ffi.cdef [[
typedef struct bio_st BIO;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
typedef struct evp_md_st EVP_MD;
BIO *BIO_new_mem_buf(const void *buf, int len);
EVP_PKEY *PEM_read_bio_PUBKEY(BIO *bp, void *x, void *cb, void *u);
EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *pkey, void *e);
int EVP_PKEY_verify_init(EVP_PKEY_CTX *ctx);
int EVP_PKEY_CTX_set_signature_md(EVP_PKEY_CTX *ctx, const EVP_MD *md);
const EVP_MD *EVP_sha256(void);
int EVP_PKEY_verify(EVP_PKEY_CTX *ctx, const char *sig, size_t siglen, const unsigned char *tbs, size_t tbslen);
unsigned char *SHA256(const char *d, size_t n, unsigned char *md);
]]

local C = ffi.C
local var, header, time = ngx.var, ngx.header, ngx.time
local find, sub = string.find, string.sub
local decode = base64.decode_base64url

local _M = {}

local consumers = {} -- by issuer
local cache          -- of verified tokens, or nil
local limit          -- requests an hour, or nil
local jwt            -- whether there must be a token
local counters
local digest = ffi.new("unsigned char[32]")

-- init takes the settings.
function _M.init(o)
  local key = C.PEM_read_bio_PUBKEY(C.BIO_new_mem_buf(o.key, #o.key), nil, nil, nil)
  assert(key ~= nil, "bad key")
  local ctx = C.EVP_PKEY_CTX_new(key, nil) -- is used for all signatures
  assert(C.EVP_PKEY_verify_init(ctx) == 1 and C.EVP_PKEY_CTX_set_signature_md(ctx, C.EVP_sha256()) == 1)
  consumers[o.issuer] = { id = o.id, username = o.username, key = o.issuer, ctx = ctx }
  jwt, limit = o.jwt, o.limit
  if o.cached then
    cache = lrucache.new(65536)
  end
  counters = ngx.shared.counters
end

local function answer(status, body)
  ngx.status = status
  header["Content-Type"] = "application/json; charset=utf-8"
  header["Content-Length"] = #body
  ngx.print(body)
  return ngx.exit(status)
end

local function refuse(message, challenge)
  header["WWW-Authenticate"] = challenge or 'Bearer error="invalid_token"'
  return answer(401, message)
end

-- verify returns whose a token is and until when, or nil and why not.
local function verify(token)
  local first = find(token, ".", 1, true)
  local second = first and find(token, ".", first + 1, true)
  if not second then
    return nil, '{"message":"Bad token; invalid JSON"}'
  end
  local text = decode(sub(token, 1, first - 1))
  local head = text and cjson.decode(text)
  text = decode(sub(token, first + 1, second - 1))
  local claims = text and cjson.decode(text)
  if type(head) ~= "table" or type(claims) ~= "table" then
    return nil, '{"message":"Bad token; invalid JSON"}'
  end
  local consumer = consumers[claims.iss]
  if not consumer then
    return nil, [[{"message":"No credentials found for given 'iss'"}]]
  end
  if head.alg ~= "RS256" then
    return nil, '{"message":"Invalid algorithm"}'
  end
  local signature = decode(sub(token, second + 1))
  if not signature then
    return nil, '{"message":"Bad token; invalid signature"}'
  end
  C.SHA256(token, second - 1, digest) -- what is signed are the first bytes
  if C.EVP_PKEY_verify(consumer.ctx, signature, #signature, digest, 32) ~= 1 then
    return nil, '{"message":"Invalid signature"}'
  end
  if type(claims.exp) ~= "number" then
    return nil, '{"exp":"must be a number"}'
  end
  return { consumer = consumer, exp = claims.exp }
end

local function authenticate()
  local value = var.http_authorization
  local word = value and sub(value, 1, 7)
  if word ~= "Bearer " and word ~= "bearer " then
    return refuse('{"message":"Unauthorized"}', "Bearer")
  end
  local token = sub(value, 8)
  local known = cache and cache:get(token)
  if not known then
    local wrong
    known, wrong = verify(token)
    if not known then
      return refuse(wrong)
    end
    if cache and known.exp > time() then
      cache:set(token, known, known.exp - time())
    end
  end
  if known.exp <= time() then
    return refuse('{"exp":"token expired"}')
  end
  local consumer = known.consumer
  var.consumer_id = consumer.id
  var.consumer_username = consumer.username
  var.credential_identifier = consumer.key
  return consumer
end

local function count(who)
  local now = time()
  local reset = 3600 - now % 3600
  local used = counters:incr(who .. now - now % 3600, 1, 0, 3600) or 0
  local left = limit - used
  if left < 0 then
    left = 0
  end
  header["X-RateLimit-Limit-Hour"] = limit
  header["X-RateLimit-Remaining-Hour"] = left
  header["RateLimit-Limit"] = limit
  header["RateLimit-Remaining"] = left
  header["RateLimit-Reset"] = reset
  if used > limit then
    header["Retry-After"] = reset
    return answer(429, '{"message":"API rate limit exceeded"}')
  end
end

function _M.access()
  local consumer
  if jwt then
    consumer = authenticate()
  end
  if limit then
    count(consumer and consumer.id or var.remote_addr)
  end
end

return _M
